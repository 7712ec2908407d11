// SPDX-License-Identifier: Apache-2.0
// Maintenance as a user starts it: killed with -9 at its steps, and what it makes of damage.
#include <gmock/gmock.h>

#include "system/cli/stocked_case.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;

class Maintenance : public StockedCase {
 protected:
  // The repository as it is now, to come back to.
  void keep() { copy_folder(folder_ / "repository", folder_ / "kept"); }
  void back_to_kept() {
    std::filesystem::remove_all(folder_ / "repository");
    copy_folder(folder_ / "kept", folder_ / "repository");
  }
  void kill_at(const char* failpoint, const std::vector<std::string>& arguments) {
    const auto killed = rig::icecore(arguments, with_key({{"ICECORE_FAILPOINTS", std::string(failpoint) + "=kill"}}));
    EXPECT_EQ(killed.exit_code, 137) << failpoint << ": " << killed.error_output;
  }

 private:
  static void copy_folder(const std::filesystem::path& from, const std::filesystem::path& to) {
    std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
  }
};

TEST_F(Maintenance, APruneKilledAtAnyStepLosesNothing) {
  init();
  const std::string old = store("web1", range(1, 60));
  store("web1", range(30, 60));
  std::vector<std::uint64_t> few = range(1, 4);  // of the old point's pack
  few.push_back(500);
  const std::string newest = store("web1", few);
  must({"forget", old}, with_key());
  keep();
  const std::vector<std::string> prune = {"prune", "--grace", "0s", "--rewrite-below", "90"};
  for (const char* failpoint :
       {"prune.marked", "repository.pack_written", "maintenance.index_written", "prune.index_written",
        "prune.index_removed", "prune.sweeping", "prune.pack_deleted", "prune.mark_removed"}) {
    back_to_kept();
    kill_at(failpoint, prune);
    must({"verify", "--read-data"}, with_key());
    must(prune, with_key());
    must({"verify", "--read-data"}, with_key());
    EXPECT_EQ(must({"prune", "--dry-run", "--json"}, with_key()).json()["waiting"]["packs"], 0) << failpoint;
  }
  EXPECT_EQ(restored(newest, with_key()), images_.at(newest));
}

TEST_F(Maintenance, ARepairKilledAtAnyStepIsFinishedByTheNext) {
  init();
  const std::string whole = store("web1", range(1, 20));
  const std::string damaged = store("web1", range(100, 160));
  change_byte(largest_pack(), 40);
  keep();
  const std::vector<std::string> repair = {"repair", "--read-data"};
  for (const char* failpoint : {"repository.pack_written", "maintenance.index_written", "prune.index_written",
                                "prune.index_removed", "repair.index_replaced", "repair.damage_noted"}) {
    back_to_kept();
    kill_at(failpoint, repair);
    EXPECT_EQ(rig::icecore(repair, with_key()).exit_code, 8) << failpoint;
    const auto verified = rig::icecore({"verify", "--json"}, with_key());
    EXPECT_EQ(verified.exit_code, 8);
    EXPECT_TRUE(verified.json()["damage"].empty()) << failpoint << verified.output;
    ASSERT_EQ(verified.json()["losses"].size(), 1U) << failpoint;
    EXPECT_EQ(verified.json()["losses"][0]["point"], damaged);
  }
  EXPECT_EQ(restored(whole, with_key()), images_.at(whole));
}

TEST_F(Maintenance, ADamagedPointRestoresWithHolesWhenThatIsAccepted) {
  init();
  const std::string point = store("web1", range(1, 60));
  change_byte(largest_pack(), 40);
  EXPECT_EQ(rig::icecore({"repair", "--read-data"}, with_key()).exit_code, 8);
  const auto refused = rig::icecore({"restore", point, "--disks-only", "--to", folder_ / "refused"}, with_key());
  EXPECT_EQ(refused.exit_code, 8);
  EXPECT_THAT(refused.error_output, HasSubstr("--allow-damaged"));
  const base::Bytes image = restored(point, with_key(), true);
  const base::Bytes& was = images_.at(point);
  ASSERT_EQ(image.size(), was.size());
  std::size_t holes = 0;
  for (std::size_t at = 0; at < was.size(); at += k_block) {
    const base::ByteView block = base::ByteView(image).subspan(at, k_block);
    if (std::equal(block.begin(), block.end(), was.begin() + static_cast<std::ptrdiff_t>(at))) continue;
    ++holes;
    EXPECT_TRUE(std::all_of(block.begin(), block.end(), [](std::byte byte) { return byte == std::byte{}; }));
  }
  constexpr std::size_t k_blocks_of_a_frame = 32;
  EXPECT_EQ(holes, k_blocks_of_a_frame);
}

// Nothing but reading finds that; then list, show and forget know.
TEST_F(Maintenance, APointWhoseBytesRottedIsNotTheLastGoodOne) {
  init();
  const std::string whole = store("web1", range(1, 20));
  const std::string rotten = store("web1", range(100, 160));
  change_byte(largest_pack(), 40);
  must({"verify"}, with_key());
  EXPECT_EQ(rig::icecore({"verify", "--read-data=100"}, with_key()).exit_code, 8);
  EXPECT_EQ(must({"list", "--json"}, with_key()).json()["lossy"], base::Json::array({rotten}));
  EXPECT_FALSE(must({"show", rotten, "--json"}, with_key()).json()["lost"].empty());
  EXPECT_EQ(rig::icecore({"forget", whole}, with_key()).exit_code, 10);
  must({"forget", "--keep-last", "1"}, with_key());
  EXPECT_EQ(must({"list", "--json"}, with_key()).json()["points"].size(), 2U);
}

// As between its publication and the moment in which a prune beside it takes back what it needs, or killed before.
TEST_F(Maintenance, APointWhosePacksAreMarkedIsRestored) {
  init();
  const std::string point = store("web1", range(1, 60));
  keep();
  must({"forget", point, "--even-last"}, with_key());
  must({"prune"}, with_key());
  std::filesystem::remove_all(folder_ / "repository/manifests");
  std::filesystem::copy(folder_ / "kept/manifests", folder_ / "repository/manifests",
                        std::filesystem::copy_options::recursive);
  EXPECT_EQ(restored(point, with_key()), images_.at(point));
  EXPECT_EQ(rig::icecore({"verify"}, with_key()).exit_code, 8);
  must({"prune"}, with_key());
  must({"verify"}, with_key());
  EXPECT_EQ(restored(point, with_key()), images_.at(point));
}

// A whole repository into another with a key of its own; then one whose source has a point nobody can read.
TEST_F(Maintenance, ACopyBringsWhatCanBeRead) {
  init();
  const std::string first = store("web1", range(1, 20));
  const std::string second = store("db", range(10, 40));
  const rig::Environment target = {{"ICECORE_REPOSITORY", folder_ / "target"},
                                   {"ICECORE_KEY_FILE", folder_ / "target-key"},
                                   {"ICECORE_STATE_DIR", folder_ / "state"}};
  must({"init"}, target);
  const std::vector<std::string> copy = {"copy", "--from", folder_ / "repository", "--from-key-file", key_file()};
  must(copy, target);
  must({"verify", "--read-data"}, target);
  EXPECT_EQ(restored(first, target), images_.at(first));

  const std::string third = store("db", range(20, 50));
  std::filesystem::path unreadable;
  for (const auto& file : std::filesystem::recursive_directory_iterator(folder_ / "repository/manifests")) {
    if (file.path().string().ends_with(second)) unreadable = file.path();
  }
  change_byte(unreadable, 60);
  std::vector<std::string> as_json = copy;
  as_json.emplace_back("--json");
  const auto partly = rig::icecore(as_json, target);
  EXPECT_EQ(partly.exit_code, 3);
  EXPECT_THAT(partly.error_output, HasSubstr(second));
  EXPECT_EQ(partly.json()["unreadable"].size(), 1U);
  EXPECT_EQ(restored(third, target), images_.at(third));
}

}  // namespace
}  // namespace icecore::system_test
