// SPDX-License-Identifier: Apache-2.0
// An encrypted repository, its key file and a state folder below one folder that is gone with the test, and the built
// program to work on them.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>

#include "base/durable_file.hpp"
#include "base/id.hpp"
#include "repository/manifest.hpp"
#include "rig/icecore_run.hpp"
#include "rig/requirements.hpp"

namespace icecore::system_test {

class RepositoryCase : public testing::Test {
 protected:
  void SetUp() override {
    ICECORE_NEEDS("icecore");
    base::create_folders(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string key_file() const { return folder_ / "key"; }
  std::string private_file(const std::string& name, const std::string& text) {
    base::write_durably(folder_ / name, base::as_bytes(text), 0600);
    return folder_ / name;
  }
  rig::Environment with(rig::Environment more = {}) const {
    more.emplace("ICECORE_REPOSITORY", folder_ / "repository");
    more.emplace("ICECORE_STATE_DIR", folder_ / "state");
    return more;
  }
  rig::Environment with_key(rig::Environment more = {}) const {
    more.emplace("ICECORE_KEY_FILE", key_file());
    return with(std::move(more));
  }
  rig::IcecoreOutcome must(const std::vector<std::string>& arguments, const rig::Environment& environment) {
    rig::IcecoreOutcome outcome = rig::icecore(arguments, environment);
    EXPECT_EQ(outcome.exit_code, 0) << arguments.at(0) << ": " << outcome.error_output;
    return outcome;
  }
  void init() { must({"init"}, with_key()); }

  // Publishes one point a day of one domain; their ids, oldest first.
  std::vector<std::string> publish_days(int days) {
    const auto storage = storage::open_storage(folder_ / "repository");
    repository::Repository repository(*storage, repository::KeyFile{key_file()}, folder_ / "other-cache");
    const std::string uuid = base::random_uuid();
    std::vector<std::string> ids;
    for (int day = 0; day < days; ++day) {
      repository::Manifest point;
      point.id = base::random_id(16);
      point.domain_name = "web1";
      point.domain_uuid = uuid;
      point.time = base::parse_time("2026-01-01") + std::chrono::days(day);
      repository::publish(repository, point);
      ids.push_back(point.id);
    }
    return ids;
  }

  std::filesystem::path folder_ = std::filesystem::temp_directory_path() / ("icecore-cli-" + base::random_id(6));
};

}  // namespace icecore::system_test
