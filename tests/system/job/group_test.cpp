// SPDX-License-Identifier: Apache-2.0
// Several domains at one instant: frozen, snapshotted and thawed together, all or none.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <csignal>
#include <fstream>

#include "base/handle.hpp"
#include "system/job/group_case.hpp"
#include "system/job/log_bounds.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t k_mib = 1024 * 1024;
constexpr std::uint64_t k_records = 20;  // that tell one instant from another

class Group : public GroupCase {};

TEST_F(Group, IsFrozenAndThawedTogether) {
  ICECORE_NEEDS("guest");
  first->domain.start();
  second->domain.start();
  rig::Guest one(first->domain);
  rig::Guest two(second->domain);
  for (rig::Guest* guest : {&one, &two}) {
    guest->wait_agent();
    guest->start_writer();
    wait_for_records(*guest, k_records);
  }
  rig::IcecoreRun backup(first->with_options(words({"--quiesce=required", "--json"})),
                         {{"ICECORE_FAILPOINTS", "backup.ready=pause:2,backup.fact.thawed=pause:2"}});
  const std::vector<Bounds> bounds = bounds_around(backup, {&one, &two});
  const rig::IcecoreOutcome ended = backup.wait();
  ASSERT_EQ(ended.exit_code, 0) << ended.error_output;
  const base::Json outcome = ended.json();
  for (rig::Guest* guest : {&one, &two}) EXPECT_EQ(guest->freeze_status(), "thawed");
  expect_at_rest();

  ASSERT_EQ(outcome.at("results").size(), 2U);
  const base::Json point = outcome.at("results")[0].at("point");
  const base::Json other = outcome.at("results")[1].at("point");
  EXPECT_EQ(point.at("group"), other.at("group"));
  ASSERT_EQ(point.at("group").at("members").size(), 2U);
  EXPECT_EQ(point.at("group").at("members")[1].at("point"), other.at("id"));
  RecordProperty("spread_ms", point.at("group").at("spread_ms").get<int>());
  RecordProperty("freeze_ms", point.at("freeze_ms").get<int>());
  for (const base::Json& member : {point, other}) {
    EXPECT_EQ(member.at("consistency"), "filesystem");
    EXPECT_LE(point.at("group").at("spread_ms"), member.at("freeze_ms")) << "each stood still for all the snapshots";
  }

  const std::filesystem::path folder = first->domain.folder() / "restored";
  first->must({"restore", point.at("id"), "--group", "--disks-only", "--to", folder});
  expect_quiesced_log(folder / first->domain.name() / "vda.qcow2", "qcow2", bounds[0]);
  expect_quiesced_log(folder / second->domain.name() / "vda.qcow2", "qcow2", bounds[1]);
}

TEST_F(Group, AllAreFrozenBeforeTheFirstSnapshotAndUntilTheLast) {
  ICECORE_NEEDS("guest");
  first->domain.start();
  second->domain.start();
  rig::Guest one(first->domain);
  rig::Guest two(second->domain);
  for (rig::Guest* guest : {&one, &two}) guest->wait_agent();
  for (const std::string place : {"intent.snapshotted", "acted.snapshotted"}) {
    SCOPED_TRACE(place);
    rig::IcecoreRun backup(first->with_options(words({})), {{"ICECORE_FAILPOINTS", "backup." + place + "=pause"}});
    backup.wait_failpoint();
    for (rig::Guest* guest : {&one, &two}) EXPECT_EQ(guest->freeze_status(), "frozen");
    backup.go_on();
    EXPECT_EQ(backup.wait().exit_code, 0);
    for (rig::Guest* guest : {&one, &two}) wait_thawed(*guest);
    expect_at_rest();
  }
}

TEST_F(Group, OneThatCannotBeFrozenDecidesForAllOrForItself) {
  ICECORE_NEEDS("guest");
  first->domain.start();
  second->domain.start_paused();
  rig::Guest guest(first->domain);
  guest.wait_agent();

  const rig::IcecoreOutcome refused = first->run(words({"--quiesce=required"}));
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_THAT(refused.error_output, HasSubstr(second->domain.name()));
  EXPECT_EQ(guest.freeze_status(), "thawed");
  EXPECT_TRUE(first->points().empty());
  expect_at_rest();

  const base::Json outcome = first->must(words({"--json"})).json();
  EXPECT_EQ(outcome.at("results")[0].at("point").at("consistency"), "filesystem");
  EXPECT_EQ(outcome.at("results")[1].at("point").at("consistency"), "crash");
  expect_at_rest();
}

// An agent that hangs before the others are frozen is found by asking it, one that hangs later by half of the limit.
TEST_F(Group, AHangingAgentDoesNotKeepTheOthersFrozen) {
  ICECORE_NEEDS("guest");
  first->domain.start();
  second->domain.start();
  rig::Guest one(first->domain);
  rig::Guest two(second->domain);
  one.wait_agent();
  two.wait_agent();
  const auto hang = [&] {
    two.hang_agent(std::chrono::seconds(20));
    while (two.agent_answers()) {
    }
  };
  struct Run {
    std::string rule;
    bool before;
  };
  for (const Run& run : {Run{"try", true}, Run{"try", false}, Run{"required", false}}) {
    SCOPED_TRACE(run.rule + (run.before ? ", hangs before" : ", hangs within"));
    if (run.before) hang();
    rig::IcecoreRun backup(first->with_options(words({"--quiesce=" + run.rule, "--freeze-limit=6000", "--json"})),
                           {{"ICECORE_FAILPOINTS", run.before ? "" : "backup.ready=pause:2"}});
    if (!run.before) {
      backup.wait_failpoint();
      hang();
      backup.go_on();
    }
    const rig::IcecoreOutcome outcome = backup.wait();
    EXPECT_EQ(one.freeze_status(), "thawed");
    if (run.rule == "required") {
      EXPECT_NE(outcome.exit_code, 0);
      EXPECT_THAT(outcome.error_output, HasSubstr("backup of '" + second->domain.name()));
    } else {
      ASSERT_EQ(outcome.exit_code, 0) << outcome.error_output;
      const base::Json results = outcome.json().at("results");
      EXPECT_EQ(results[0].at("point").at("consistency"), "filesystem");
      EXPECT_LT(results[0].at("point").at("freeze_ms"), run.before ? 3000 : 6000);
      EXPECT_EQ(results[1].at("point").at("consistency"), "crash");
    }
    two.wait_agent();
    wait_thawed(two);
    expect_at_rest();
  }
  EXPECT_EQ(first->points().size(), 4U);
}

TEST_F(Group, ASlowSnapshotShowsInTheSpread) {
  constexpr int k_delay_ms = 700;
  start_paused();
  rig::IcecoreRun backup(first->with_options(words({"--json"})), {{"ICECORE_FAILPOINTS", "backup.snapshotting=pause"}});
  backup.wait_failpoint();
  std::this_thread::sleep_for(base::Milliseconds(k_delay_ms));
  backup.go_on();
  const rig::IcecoreOutcome outcome = backup.wait();
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error_output;
  EXPECT_GE(outcome.json().at("results")[0].at("point").at("group").at("spread_ms"), k_delay_ms);
  EXPECT_THAT(first->must({"show", group_ids().at(0)}).output, HasSubstr("from the first snapshot's begin"));
}

// The second one's disk and its overlays are on a small file system of their own.
class GroupOnTwoFileSystems : public GroupCase {
 protected:
  void SetUp() override {
    GroupCase::SetUp();
    if (!second) return;
    place = first->domain.folder() / "place";
    small = place / "small";
    std::filesystem::create_directories(small);
    first->domain.undo().folder(small);
    ASSERT_EQ(::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=16m,mode=0755"), 0);
    rig::make_image(small / "vda.qcow2", {});
    second.emplace(rig::DomainOptions{.disks = {{.existing = small / "vda.qcow2"}}});
    share_repository();
    start_paused();
  }
  void fill() const { std::ofstream(small / "big") << std::string(15 * k_mib, 'x'); }
  bool second_is_on_its_base() const { return second->domain.live_source() == second->domain.disk_path(); }
  void wait_until_given_up() const {
    wait_until("the second one is on its base", [&] { return second_is_on_its_base(); });
  }
  // The first one's point is there all the same.
  void expect_alone_failed(const rig::IcecoreOutcome& outcome) const {
    EXPECT_EQ(outcome.exit_code, 3) << outcome.error_output;
    EXPECT_THAT(outcome.error_output, HasSubstr(small.string()));
    EXPECT_EQ(first->points().size(), 1U);
    EXPECT_EQ(first->domain.live_source(), first->domain.disk_path());
    EXPECT_EQ(first->domain.inactive_source(), first->domain.disk_path());
  }

  std::filesystem::path place;
  std::filesystem::path small;  // in it
};

// Its guest writes to an overlay for as long as the others are read.
TEST_F(GroupOnTwoFileSystems, OneThatWaitsIsGivenUpBeforeItsOverlayFillsItsFolder) {
  rig::IcecoreRun backup(first->with_options(words({})),
                         {{"ICECORE_FAILPOINTS", "backup.intent.reading=pause,backup.intent.sealed=pause"}});
  backup.wait_failpoint();
  EXPECT_FALSE(second_is_on_its_base());
  fill();
  backup.go_on();
  backup.wait_failpoint();  // the first one is read, but not merged yet
  EXPECT_TRUE(second_is_on_its_base());
  backup.go_on();
  expect_alone_failed(backup.wait());
  EXPECT_EQ(second->domain.inactive_source(), second->domain.disk_path());
}

// And while another one's are merged, which takes as long as its guest has written for.
TEST_F(GroupOnTwoFileSystems, OneThatWaitsForAMergeIsGivenUpToo) {
  rig::IcecoreRun backup(first->with_options(words({})), {{"ICECORE_FAILPOINTS", "backup.intent.committing=pause"}});
  backup.wait_failpoint();
  const pid_t merging = first->domain.qemu_pid();
  ::kill(merging, SIGSTOP);
  const base::ScopeExit go_on([&] { ::kill(merging, SIGCONT); });
  EXPECT_FALSE(second_is_on_its_base());
  fill();
  backup.go_on();
  wait_until_given_up();  // and the first one is not merged yet
  ::kill(merging, SIGCONT);
  expect_alone_failed(backup.wait());
}

// And while nothing is stored, which a repository or an image may take long for.
TEST_F(GroupOnTwoFileSystems, OneThatWaitsForASlowReadingIsGivenUpToo) {
  const auto tool = place / "qemu-img";  // whose map takes until it is told to go on
  std::ofstream(tool) << "#!/bin/sh\nif [ \"$1\" = map ]; then\n  touch \"$0.asked\"\n"
                         "  until [ -e \"$0.go\" ]; do sleep 0.1; done\nfi\nexec /usr/bin/qemu-img \"$@\"\n";
  std::filesystem::permissions(tool, std::filesystem::perms(0755));
  rig::IcecoreRun backup(first->with_options(words({})), {{"PATH", place.string() + ":" + std::getenv("PATH")}});
  wait_until("the first one's image is mapped", [&] { return std::filesystem::exists(tool.string() + ".asked"); });
  EXPECT_FALSE(second_is_on_its_base());
  fill();
  wait_until_given_up();
  std::ofstream(tool.string() + ".go") << "";
  expect_alone_failed(backup.wait());
}

// Its path leads nowhere, which is not what an absent file is: the others are put back, and published, all the same.
TEST_F(GroupOnTwoFileSystems, OneThatIsLostIsLostAlone) {
  const std::filesystem::path away = place.string() + ".away";
  rig::IcecoreRun backup(first->with_options(words({})), {{"ICECORE_FAILPOINTS", "backup.intent.sealed=pause:2"}});
  backup.wait_failpoint();
  std::filesystem::rename(place, away);
  std::filesystem::create_symlink(place, place);
  backup.go_on();
  expect_alone_failed(backup.wait());
  std::filesystem::remove(place);
  std::filesystem::rename(away, place);
  first->must({"recover"});
  expect_at_rest();
}

TEST_F(Group, KilledAnywhereIsPutBackByRecover) {
  start_paused();
  for (const std::string failpoint : {"backup.intent.snapshotted", "backup.acted.snapshotted", "backup.acted.reading",
                                      "backup.fact.sealed", "backup.acted.committing"}) {
    SCOPED_TRACE(failpoint);
    EXPECT_EQ(first->run(words({}), {{"ICECORE_FAILPOINTS", failpoint + "=kill"}}).exit_code, 137);
    first->must({"recover"});
    expect_at_rest();
  }
  const std::size_t before = first->points().size();
  first->must(words({}));
  EXPECT_EQ(first->points().size(), before + 2);
  expect_at_rest();
}

// Before all snapshots are there a failure is everybody's, afterwards its own.
TEST_F(Group, OneThatFailsDecidesForAllOrForItself) {
  start_paused();
  for (const std::string at : {"backup.intent.snapshotted", "backup.acted.snapshotted"}) {
    SCOPED_TRACE(at);
    const rig::IcecoreOutcome none = first->run(words({}), {{"ICECORE_FAILPOINTS", at + "=error:2"}});
    EXPECT_EQ(none.exit_code, 6);
    EXPECT_THAT(none.error_output, HasSubstr(at));
    EXPECT_TRUE(first->points().empty());
    expect_at_rest();
  }
  first->domain.monitor_write("vda", 3 * k_mib, k_mib, 0x51);
  const std::string written = first->domain.hash_disk();
  const rig::IcecoreOutcome one =
      first->run(words({"--json"}), {{"ICECORE_FAILPOINTS", "backup.acted.reading=error:2"}});
  EXPECT_EQ(one.exit_code, 3);
  EXPECT_THAT(one.error_output, HasSubstr(second->domain.name()));
  EXPECT_EQ(first->points().size(), 1U);
  EXPECT_TRUE(objects().empty());
  EXPECT_EQ(first->restored_hash("latest"), written);
  expect_at_rest();
  first->must({"verify", "--read-data"});
}

// The last of its points states the group, whoever publishes that.
TEST_F(Group, KilledBesideAnyPublicationIsStatedByRecover) {
  start_paused();
  for (const std::string at :
       {"backup.acted.committed=kill:2", "backup.intent.published=kill", "backup.acted.published=kill",
        "repository.before_group=kill", "repository.group_written=kill", "backup.fact.published=kill"}) {
    SCOPED_TRACE(at);
    const std::size_t before = objects().size();
    EXPECT_EQ(first->run(words({}), {{"ICECORE_FAILPOINTS", at}}).exit_code, 137);
    first->must({"recover"});
    expect_at_rest();
    EXPECT_EQ(objects().size(), before + 1);
  }
  first->must({"verify"});
}

TEST_F(Group, OfStagedPointsIsStatedByTheUpload) {
  first->environment["ICECORE_STAGING_DIR"] = first->staging();
  start_paused();
  first->must(words({"--no-wait"}));
  EXPECT_TRUE(objects().empty());
  const std::string id = group_ids().at(0);
  EXPECT_THAT(first->must({"show", id}).output, HasSubstr("pending upload"));
  EXPECT_EQ(first->run({"upload"}, {{"ICECORE_FAILPOINTS", "repository.before_group=kill"}}).exit_code, 137);
  EXPECT_TRUE(objects().empty());
  first->must({"upload"});
  EXPECT_EQ(objects().size(), 1U);
  EXPECT_TRUE(first->must({"show", id, "--json"}).json().at("stated"));
}

TEST_F(Group, IsShownByItsIdAndSaysWhatIsMissing) {
  start_paused();
  first->must(words({"--quiesce=off"}));
  const std::string id = group_ids().at(0);
  const base::Json shown = first->must({"show", id, "--json"}).json();
  EXPECT_EQ(shown.at("quiesce"), "off");
  EXPECT_TRUE(shown.at("whole"));
  EXPECT_TRUE(shown.at("stated"));
  ASSERT_EQ(shown.at("members").size(), 2U);
  EXPECT_EQ(shown.at("members")[0].at("consistency"), "crash");
  EXPECT_THAT(first->must({"list"}).output, HasSubstr(id.substr(0, 8)));
  EXPECT_EQ(first->run({"restore", id, "--as", "x"}).exit_code, 2) << "a group is no point";

  const std::filesystem::path folder = first->domain.folder() / "restored";
  first->must({"restore", id, "--group", "--disks-only", "--to", folder});
  EXPECT_TRUE(std::filesystem::exists(folder / second->domain.name() / "vda.qcow2"));

  const std::string gone = shown.at("members")[1].at("point");
  first->must({"forget", gone, "--even-last"});
  EXPECT_TRUE(objects().empty());
  first->must({"verify"});
  const std::string text = first->must({"show", id}).output;
  EXPECT_THAT(text, HasSubstr("1 of 2 are there"));
  EXPECT_THAT(text, HasSubstr("not there"));
  const rig::IcecoreOutcome refused = first->run({"restore", id, "--group", "--disks-only", "--to", folder / "again"});
  EXPECT_EQ(refused.exit_code, 4);
  EXPECT_THAT(refused.error_output, HasSubstr(gone.substr(0, 8)));
  EXPECT_FALSE(first->restored_hash(shown.at("members")[0].at("point")).empty()) << "the others singly";
}

// Killed while a point is forgotten: no group names a point that is gone.
TEST_F(Group, AForgetThatIsKilledLeavesNoUntrueGroup) {
  start_paused();
  for (const std::string failpoint :
       {"repository.before_forget", "repository.group_forgotten", "repository.forgotten"}) {
    SCOPED_TRACE(failpoint);
    first->must(words({}));
    const std::string point = first->points().back();
    const auto killed = first->run({"forget", point, "--even-last"}, {{"ICECORE_FAILPOINTS", failpoint + "=kill"}});
    EXPECT_EQ(killed.exit_code, 137);
    first->must({"verify"});
    static_cast<void>(first->run({"forget", point, "--even-last"}));  // entered again; it may be gone
    EXPECT_TRUE(objects().empty());
    first->must({"verify"});
  }
}

TEST_F(Group, APolicyMakesOneToo) {
  start_paused();
  const auto policy = first->domain.folder() / "policy.xml";
  std::ofstream(policy) << fmt::format(
      "<policy name='test'><domains group='yes'><include name='{}'/><include name='{}'/></domains><quiesce rule='off'/>"
      "<repository url='{}' key-file='{}'/></policy>\n",
      first->domain.name(), second->domain.name(), first->repository().string(), first->key_file().string());
  first->must({"run", policy});
  expect_at_rest();
  EXPECT_EQ(objects().size(), 1U);
  EXPECT_EQ(first->must({"show", group_ids().at(0), "--json"}).json().at("quiesce"), "off");
}

TEST_F(Group, HasTwoDifferentDomains) {
  const std::string name = first->domain.name();
  EXPECT_EQ(first->run({"backup", "--group", name}).exit_code, 2);
  EXPECT_EQ(first->run({"backup", "--group", name, name}).exit_code, 2);
  EXPECT_TRUE(first->points().empty());
}

}  // namespace
}  // namespace icecore::system_test
