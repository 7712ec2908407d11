// SPDX-License-Identifier: Apache-2.0
// Whole commands in this process, on a repository, key and state in a folder that is gone with the test.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <sstream>

#include "base/error.hpp"
#include "base/id.hpp"
#include "cli/commands.hpp"
#include "cli/program.hpp"
#include "repository/manifest.hpp"

namespace icecore::cli {

class ProgramCase : public testing::Test {
 protected:
  ProgramCase() {
    std::filesystem::create_directory(folder_);
    variables_["ICECORE_STATE_DIR"] = folder_ / "state";
    variables_["ICECORE_REPOSITORY"] = folder_ / "repository";
  }
  ~ProgramCase() override { std::filesystem::remove_all(folder_); }

  ExitCode run(const std::vector<std::string>& arguments) {
    out_.str("");
    err_.str("");
    const Environment environment = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables_.find(name);
      return found == variables_.end() ? std::nullopt : std::optional(found->second);
    };
    return run_program(arguments, all_commands(), console_, environment);
  }
  base::Json record() const { return base::parse_json(out_.str(), "standard output"); }

  void open(const std::function<void(repository::Repository&)>& action) {
    const auto storage = storage::open_storage(variables_["ICECORE_REPOSITORY"]);
    const std::string key = variables_["ICECORE_KEY_FILE"];
    const repository::Credential credential = key.empty() ? repository::Credential{} : repository::KeyFile{key};
    repository::Repository repository(*storage, credential, folder_ / "state/cache");
    action(repository);
  }

  // Its id.
  std::string publish_point(const std::string& domain, base::Timestamp time = base::now()) {
    repository::Manifest point;
    point.id = base::random_id(16);
    point.domain_name = domain;
    std::string& uuid = uuids_[domain];
    if (uuid.empty()) uuid = base::random_uuid();
    point.domain_uuid = uuid;
    point.time = time;
    open([&](repository::Repository& repository) { repository::publish(repository, point); });
    return point.id;
  }

  std::filesystem::path folder_ = std::filesystem::path(testing::TempDir()) / base::random_id(8);
  std::map<std::string, std::string> variables_;
  std::map<std::string, std::string> uuids_;  // of domains
  std::ostringstream out_;
  std::ostringstream err_;
  Console console_{out_, err_};
};

}  // namespace icecore::cli
