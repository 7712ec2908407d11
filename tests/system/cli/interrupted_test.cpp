// SPDX-License-Identifier: Apache-2.0
// kill -9 in the middle of what deletes: what is left is whole, and the next run ends where this one would have.
#include "system/cli/repository_case.hpp"

namespace icecore::system_test {
namespace {

class Interrupted : public RepositoryCase {
 protected:
  std::vector<std::string> ids() {
    const base::Json listed = must({"list", "--json"}, with_key()).json();
    EXPECT_TRUE(listed["damaged"].empty());
    std::vector<std::string> found;
    for (const auto& point : listed["points"]) found.push_back(point["id"]);
    return found;
  }
  int list_with(const std::string& passphrase_file) {
    return rig::icecore({"list"}, with({{"ICECORE_PASSPHRASE_FILE", passphrase_file}})).exit_code;
  }
};

TEST_F(Interrupted, ForgetLeavesEveryOtherPointWhole) {
  init();
  std::vector<std::string> expected = publish_days(5);
  const std::vector<std::string> forget = {"forget", "--keep-last", "2"};
  for (const char* failpoint : {"repository.before_forget=kill:2", "repository.forgotten=kill"}) {
    EXPECT_EQ(rig::icecore(forget, with_key({{"ICECORE_FAILPOINTS", failpoint}})).exit_code, 137);
    expected.erase(expected.begin());
    EXPECT_EQ(ids(), expected) << "the oldest is gone, all others are there";
  }
  must(forget, with_key());
  EXPECT_EQ(ids().size(), 2U) << "the dead runs' locks hold up nobody";
}

TEST_F(Interrupted, AChangeOfThePassphraseAlwaysLeavesOneThatOpens) {
  const std::string old = private_file("old", "sesame\n");
  const std::string fresh = private_file("fresh", "open up\n");
  must({"init"}, with({{"ICECORE_PASSPHRASE_FILE", old}}));
  const std::vector<std::string> change = {"key", "change-passphrase", "--new-passphrase-file", fresh};
  const auto killed_at = [&](const std::string& failpoint) {
    return rig::icecore(change, with({{"ICECORE_PASSPHRASE_FILE", old}, {"ICECORE_FAILPOINTS", failpoint + "=kill"}}));
  };
  EXPECT_EQ(killed_at("key.before_old_goes").exit_code, 137);
  EXPECT_EQ(list_with(old), 0);
  EXPECT_EQ(list_with(fresh), 0);
  const base::Json listed = must({"key", "list", "--json"}, with({{"ICECORE_PASSPHRASE_FILE", fresh}})).json();
  ASSERT_EQ(listed["keys"].size(), 2U);
  const std::string stale = listed["keys"][0]["in_use"] == true ? listed["keys"][1]["id"] : listed["keys"][0]["id"];
  must({"key", "remove", stale}, with({{"ICECORE_PASSPHRASE_FILE", fresh}}));
  EXPECT_EQ(list_with(old), 7);
  EXPECT_EQ(list_with(fresh), 0);
}

}  // namespace
}  // namespace icecore::system_test
