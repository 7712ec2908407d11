// SPDX-License-Identifier: Apache-2.0
// kill -9 in the middle of what deletes: what is left is whole, and the next run ends where this one would have.
#include "base/process.hpp"
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

// Each counts on the point the other removes.
TEST_F(Interrupted, AForgetBesideAnotherPutsTheLastPointBack) {
  init();
  const std::vector<std::string> points = publish_days(2);
  rig::IcecoreRun first({"forget", points[0]}, with_key({{"ICECORE_FAILPOINTS", "repository.before_forget=pause"}}));
  first.wait_failpoint();
  must({"forget", points[1]}, with_key());
  first.go_on();
  const rig::IcecoreOutcome outcome = first.wait();
  EXPECT_EQ(outcome.exit_code, 10) << outcome.output;
  EXPECT_NE(outcome.error_output.find("somebody removed the others meanwhile"), std::string::npos);
  EXPECT_EQ(ids(), std::vector{points[0]});
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

TEST_F(Interrupted, AKeyAddedHalfWayIsThereOrNot) {
  init();
  const std::vector<std::string> add = {"key", "add", "--new-key-file", folder_ / "second"};
  EXPECT_EQ(rig::icecore(add, with_key({{"ICECORE_FAILPOINTS", "key.added=kill"}})).exit_code, 137);
  must({"list"}, with({{"ICECORE_KEY_FILE", folder_ / "second"}}));
  const rig::IcecoreOutcome again = rig::icecore(add, with_key());
  EXPECT_EQ(again.exit_code, 10);
  EXPECT_NE(again.error_output.find("icecore key list"), std::string::npos) << again.error_output;
}

TEST_F(Interrupted, AKeyRemovedHalfWayIsGoneAndTheOtherOpens) {
  init();
  must({"key", "add", "--new-key-file", folder_ / "second"}, with_key());
  const base::Json listed = must({"key", "list", "--json"}, with_key()).json();
  const std::string other = listed["keys"][listed["keys"][0]["in_use"] == true ? 1 : 0]["id"];
  EXPECT_EQ(rig::icecore({"key", "remove", other}, with_key({{"ICECORE_FAILPOINTS", "key.removed=kill"}})).exit_code,
            137);
  must({"list"}, with_key());
  EXPECT_EQ(rig::icecore({"list"}, with({{"ICECORE_KEY_FILE", folder_ / "second"}})).exit_code, 7);
  EXPECT_EQ(rig::icecore({"key", "remove", other}, with_key()).exit_code, 4);
}

// A slot that nobody can open would count as another key, and let the real one go.
TEST_F(Interrupted, AnExportHalfWayLeavesNoSlotWithoutItsSheet) {
  init();
  const std::string only = must({"key", "list", "--json"}, with_key()).json()["keys"][0]["id"];
  const auto killed_at = [&](const std::string& failpoint, const std::string& sheet) {
    const std::vector<std::string> line = {"key", "export", "--to", folder_ / sheet};
    return rig::icecore(line, with_key({{"ICECORE_FAILPOINTS", failpoint + "=kill"}})).exit_code;
  };
  EXPECT_EQ(killed_at("key.sheet_written", "early"), 137);
  EXPECT_EQ(must({"key", "list", "--json"}, with_key()).json()["keys"].size(), 1U);
  const rig::IcecoreOutcome refused = rig::icecore({"key", "remove", only, "--force"}, with_key());
  EXPECT_EQ(refused.exit_code, 10);
  EXPECT_NE(refused.error_output.find("is the last"), std::string::npos) << refused.error_output;
  EXPECT_EQ(rig::icecore({"list"}, with({{"ICECORE_KEY_FILE", folder_ / "early"}})).exit_code, 7);

  EXPECT_EQ(killed_at("key.added", "late"), 137);
  EXPECT_EQ(must({"key", "list", "--json"}, with_key()).json()["keys"].size(), 2U);
  must({"list"}, with({{"ICECORE_KEY_FILE", folder_ / "late"}}));
}

// A sheet in a safe that somebody relies on.
TEST_F(Interrupted, AnExportWhoseSlotFailsLeavesNoSheet) {
  init();
  const rig::Environment failing = with_key({{"ICECORE_FAILPOINTS", "key.added=error"}});
  const rig::IcecoreOutcome to_file = rig::icecore({"key", "export", "--to", folder_ / "sheet"}, failing);
  EXPECT_NE(to_file.exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "sheet")) << to_file.error_output;
  const rig::IcecoreOutcome printed = rig::icecore({"key", "export"}, failing);
  EXPECT_NE(printed.error_output.find("opens nothing"), std::string::npos) << printed.error_output;
  EXPECT_EQ(must({"key", "list", "--json"}, with_key()).json()["keys"].size(), 1U);
}

TEST_F(Interrupted, AnExportToAFullFileSystemLeavesNoSlot) {
  init();
  std::vector<std::string> line = {"env"};
  for (const auto& [name, value] : with_key()) line.push_back(name + "=" + value);
  for (const char* word : {"sh", "-c", "exec \"$0\" key export >/dev/full"}) line.emplace_back(word);
  line.push_back(rig::icecore_path());
  const base::Outcome outcome = base::run({.arguments = line}, std::chrono::seconds(60));
  EXPECT_EQ(outcome.exit_code, 9) << outcome.error_output;
  EXPECT_NE(outcome.error_output.find("no key slot was made"), std::string::npos) << outcome.error_output;
  EXPECT_EQ(must({"key", "list", "--json"}, with_key()).json()["keys"].size(), 1U);
}

}  // namespace
}  // namespace icecore::system_test
