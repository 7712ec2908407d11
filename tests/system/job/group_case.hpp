// SPDX-License-Identifier: Apache-2.0
// What the tests of groups start from: two domains that share a repository.
#pragma once

#include <gtest/gtest.h>

#include <thread>

#include "rig/guest.hpp"
#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {

// Two domains, one repository: the first one's.
class GroupCase : public testing::Test {
 protected:
  void SetUp() override {
    ICECORE_NEEDS("root", "libvirt", "icecore");
    first.emplace(rig::DomainOptions{.disks = {{.image = {.file_system = true}}}});
    second.emplace(rig::DomainOptions{.disks = {{.image = {.file_system = true}}}});
    first->init();
    share_repository();
  }
  void share_repository() {
    second->url = first->repository();
    std::filesystem::copy_file(first->key_file(), second->key_file());
  }

  std::vector<std::string> words(std::vector<std::string> more) const {
    std::vector<std::string> all = {"backup", "--group", first->domain.name(), second->domain.name()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  void start_paused() {
    first->domain.start_paused();
    second->domain.start_paused();
  }
  void expect_at_rest() const {
    first->expect_at_rest();
    second->expect_at_rest();
  }
  static void wait_thawed(rig::Guest& guest) {
    const base::Stopwatch watch;
    while (guest.freeze_status() != "thawed") {
      ASSERT_LT(watch.elapsed(), std::chrono::seconds(20)) << "still frozen";
      std::this_thread::sleep_for(base::Milliseconds(50));
    }
  }
  // The groups that are stated in the repository.
  std::vector<std::filesystem::path> objects() const {
    std::vector<std::filesystem::path> found;
    std::error_code none;
    for (const auto& file : std::filesystem::directory_iterator(first->repository() / "groups", none))
      found.push_back(file.path());
    return found;
  }
  std::vector<std::string> group_ids() const {
    std::vector<std::string> ids;
    const base::Json record = first->must({"list", "--json"}).json();
    for (const base::Json& group : record.at("groups")) ids.push_back(group.at("group"));
    return ids;
  }
  std::string disk_hash(const ProtectedDomain& of) const { return rig::content_hash(of.domain.disk_path(), "qcow2"); }

  std::optional<ProtectedDomain> first;
  std::optional<ProtectedDomain> second;
};

}  // namespace icecore::system_test
