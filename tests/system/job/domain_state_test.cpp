// SPDX-License-Identifier: Apache-2.0
// Domains that are neither simply running nor simply shut off: paused, transient, saved, started or gone meanwhile.
#include <gmock/gmock.h>

#include <thread>

#include "base/clock.hpp"
#include "base/process.hpp"
#include "rig/guest.hpp"
#include "rig/requirements.hpp"
#include "system/job/expect_error.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t k_mib = 1024 * 1024;

class DomainState : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }

  static rig::DomainOptions transient() {
    rig::DomainOptions options;
    options.transient = true;
    return options;
  }
  static int state_of(const ProtectedDomain& subject) {
    int state = -1;
    int reason = -1;
    ::virDomainGetState(subject.domain.handle(), &state, &reason, 0);
    return state;
  }
  // Empty: there is none.
  static std::filesystem::path overlay_of(const ProtectedDomain& subject) {
    for (const auto& file : std::filesystem::directory_iterator(subject.domain.folder())) {
      if (file.path().string().ends_with(".ovl.qcow2")) return file.path();
    }
    return {};
  }
  static bool has_overlay(const ProtectedDomain& subject) { return !overlay_of(subject).empty(); }
  static std::string saved_file(const ProtectedDomain& subject) { return subject.domain.folder() / "saved"; }
  // As `virsh save` and `virsh restore` do.
  static void save(const ProtectedDomain& subject) {
    ASSERT_EQ(::virDomainSave(subject.domain.handle(), saved_file(subject).c_str()), 0);
  }
  static void restore_saved(const ProtectedDomain& subject) {
    const virConnectPtr connection = ::virDomainGetConnect(subject.domain.handle());
    ASSERT_EQ(::virDomainRestoreFlags(connection, saved_file(subject).c_str(), nullptr, VIR_DOMAIN_SAVE_PAUSED), 0);
  }
  static base::Json latest(const ProtectedDomain& subject) { return subject.must({"show", "latest", "--json"}).json(); }
  // Stopped in the window, with the guest on its overlays.
  static std::unique_ptr<rig::IcecoreRun> backup_in_the_window(const ProtectedDomain& subject) {
    auto backup =
        std::make_unique<rig::IcecoreRun>(subject.with_options({"backup", subject.domain.name()}),
                                          rig::Environment{{"ICECORE_FAILPOINTS", "backup.fact.reading=pause"}});
    backup->wait_failpoint();
    return backup;
  }
};

TEST_F(DomainState, AGuestPausedByItsUserStaysSoAndGoesOnAfterwards) {
  ICECORE_NEEDS("guest");
  ProtectedDomain subject({.disks = {{.image = {.file_system = true}}}});
  subject.init();
  subject.domain.start();
  rig::Guest guest(subject.domain);
  guest.wait_agent();
  guest.start_writer();
  guest.write_file("/mnt/before", "the pause");
  ASSERT_EQ(::virDomainSuspend(subject.domain.handle()), 0);
  const auto outcome = subject.must({"backup", subject.domain.name()});
  EXPECT_EQ(state_of(subject), VIR_DOMAIN_PAUSED);
  EXPECT_THAT(outcome.error_output, HasSubstr("file systems were not frozen: the guest is paused"));
  const base::Json point = latest(subject);
  EXPECT_EQ(point.at("consistency"), "crash");
  EXPECT_EQ(point.at("mode"), "disk-only");
  EXPECT_EQ(point.at("freeze_ms"), 0);
  subject.expect_at_rest();
  ASSERT_EQ(::virDomainResume(subject.domain.handle()), 0);
  guest.stop_writer();
  EXPECT_TRUE(guest.check_log().unbroken);

  const auto folder = subject.domain.folder() / "out";
  subject.must({"restore", "latest", "--disks-only", "--to", folder});
  const rig::ChainState log = rig::read_log(folder / "vda.qcow2", "qcow2");
  EXPECT_TRUE(log.unbroken);
  EXPECT_GT(log.records, 0U);
}

TEST_F(DomainState, ATransientDomainIsBackedUpAndComesBackForGood) {
  rig::DomainOptions options = transient();
  options.devices_xml = "<graphics type='vnc' autoport='yes' passwd='t0psecre'/>";
  ProtectedDomain subject(options);
  subject.init();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 3 * k_mib, k_mib, 0x31);
  const std::string content = subject.domain.hash_disk();
  const auto expect_secret = [](const rig::IcecoreOutcome& told) {
    EXPECT_THAT(told.output + told.error_output, Not(HasSubstr("t0psecre")));
  };
  expect_secret(subject.must({"explain", subject.domain.name()}));
  expect_secret(subject.must({"backup", subject.domain.name(), "-vv"}));
  for (const char* form : {"--xml", "--json", "-v"}) expect_secret(subject.must({"show", "latest", form}));
  EXPECT_THAT(subject.must({"show", "latest", "--xml", "--security-info"}).output, HasSubstr("t0psecre"));
  EXPECT_EQ(subject.domain.live_source(), subject.domain.disk_path());
  EXPECT_FALSE(has_overlay(subject));
  EXPECT_EQ(subject.restored_hash("latest"), content);
  const std::string name = subject.domain.name() + "-copy";
  expect_secret(subject.must({"restore", "latest", "--as", name, "--dry-run"}));
  subject.domain.undo().domain(name);
  const auto outcome = subject.must({"restore", "latest", "--as", name});
  EXPECT_THAT(outcome.error_output, HasSubstr("was transient"));
  rig::TestDomain copy({.disks = {{.existing = subject.domain.folder() / (name + ".vda.qcow2")}}, .name = name});
  EXPECT_EQ(::virDomainIsPersistent(copy.handle()), 1);
  const std::unique_ptr<char, decltype(&::free)> xml(::virDomainGetXMLDesc(copy.handle(), VIR_DOMAIN_XML_SECURE),
                                                     &::free);
  EXPECT_THAT(xml.get(), HasSubstr("t0psecre")) << "its screen is locked as it was";
}

// Its disks are whole when it was shut down, and not when it was killed, which libvirt knows until its daemon ends.
TEST_F(DomainState, WhatIsOffIsAsConsistentAsItWentOff) {
  ICECORE_NEEDS("guest");
  ProtectedDomain subject({.disks = {{.image = {.file_system = true}}}});
  subject.init();
  const auto back_up = [&] { return subject.must({"backup", subject.domain.name(), "--quiesce=required"}); };
  const auto expect_torn = [&](const std::string& why) {
    const auto told = subject.run({"explain", subject.domain.name(), "--json", "--quiesce=required"});
    EXPECT_EQ(told.exit_code, 6) << told.output;
    EXPECT_EQ(told.json().at("consistency"), "crash");
    EXPECT_THAT(told.json().at("consistency_reason").get<std::string>(), HasSubstr(why));
    const auto refused = subject.run({"backup", subject.domain.name(), "--quiesce=required"});
    EXPECT_EQ(refused.exit_code, 6);
    EXPECT_THAT(refused.error_output, HasSubstr(why));
  };
  EXPECT_THAT(back_up().error_output, HasSubstr("taken for shut down in good order"));
  EXPECT_EQ(latest(subject).at("consistency"), "filesystem") << "it was never started";
  subject.domain.start();
  rig::Guest guest(subject.domain);
  guest.wait_agent();
  back_up();
  guest.shut_down();
  EXPECT_THAT(back_up().error_output, Not(HasSubstr("taken for")));
  EXPECT_EQ(latest(subject).at("consistency"), "filesystem") << "it was shut down";

  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 3 * k_mib, k_mib, 0x31);
  subject.domain.kill_qemu();
  expect_torn("QEMU crashed or was killed");
  // As after a restart of the daemon, or of a host that went down: libvirt knows no more, the image's bitmap does.
  ASSERT_EQ(::virDomainUndefine(subject.domain.handle()), 0);
  subject.domain.reconnect();
  expect_torn("did not close the image of disk vda");
  EXPECT_THAT(subject.must({"backup", subject.domain.name()}).error_output,
              HasSubstr("crash-consistent: QEMU did not"));
  EXPECT_EQ(latest(subject).at("consistency"), "crash");
  EXPECT_EQ(latest(subject).at("mode"), "offline");

  subject.domain.start_paused();
  subject.domain.destroy();
  expect_torn("forced off (destroyed)");
  subject.expect_at_rest();
}

// No XML is left that says where its disks were.
TEST_F(DomainState, ATransientDomainThatDiesInTheWindowKeepsWhatItWrote) {
  ProtectedDomain subject(transient());
  subject.init();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 3 * k_mib, k_mib, 0x31);
  const std::string instant = subject.domain.hash_disk();
  const auto backup = backup_in_the_window(subject);
  subject.domain.monitor_write("vda", 9 * k_mib, k_mib, 0x32);
  const std::string written = subject.domain.hash_disk();
  subject.domain.kill_qemu();
  backup->go_on();
  const auto outcome = backup->wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  EXPECT_FALSE(has_overlay(subject));
  EXPECT_EQ(rig::content_hash(subject.domain.disk_path(), "qcow2"), written);
  EXPECT_EQ(subject.restored_hash("latest"), instant);
}

TEST_F(DomainState, ATransientDomainThatDiesBesideAKilledBackupIsRecovered) {
  ProtectedDomain subject(transient());
  subject.init();
  subject.domain.start_paused();
  const auto backup = backup_in_the_window(subject);
  subject.domain.monitor_write("vda", 9 * k_mib, k_mib, 0x32);
  const std::string written = subject.domain.hash_disk();
  subject.domain.kill_qemu();
  backup->kill();
  subject.must({"recover"});
  EXPECT_FALSE(has_overlay(subject));
  EXPECT_EQ(rig::content_hash(subject.domain.disk_path(), "qcow2"), written);
}

// A backup of a transient domain is given up and killed at this place of its live commit; the guest writes on and dies.
class TransientDomain : public DomainState {
 protected:
  void SetUp() override {
    DomainState::SetUp();
    subject.emplace(transient());
    subject->init();
    subject->domain.start_paused();
  }
  void die_in_commit(const std::string& failpoint) {
    const auto killed = subject->run({"backup", subject->domain.name()},
                                     {{"ICECORE_FAILPOINTS", "backup.acted.reading=error," + failpoint + "=kill"}});
    ASSERT_EQ(killed.exit_code, 137) << killed.error_output;
    is_pivoted = subject->domain.live_source() == subject->domain.disk_path();
    subject->domain.monitor_write("vda", 9 * k_mib, k_mib, 0x33);
    newest = subject->domain.hash_disk();
    subject->domain.kill_qemu();
  }
  std::string disk() const { return rig::content_hash(subject->domain.disk_path(), "qcow2"); }

  std::optional<ProtectedDomain> subject;
  bool is_pivoted = false;
  std::string newest;
};

TEST_F(TransientDomain, ThatDiesBeforeThePivotHasAWholeOverlayWhichIsMerged) {
  die_in_commit("commit.ready");
  EXPECT_FALSE(is_pivoted);
  subject->must({"recover"});
  EXPECT_FALSE(has_overlay(*subject));
  EXPECT_EQ(disk(), newest);
}

TEST_F(TransientDomain, ThatDiesWhileItsPivotIsUnderWayIsLeftToAPerson) {
  die_in_commit("commit.pivot");
  const std::string base = disk();
  const auto recovered = subject->run({"recover"});
  EXPECT_THAT(recovered.output + recovered.error_output, HasSubstr("may or may not be merged already"));
  EXPECT_TRUE(has_overlay(*subject));
  EXPECT_EQ(disk(), base);
}

TEST_F(TransientDomain, ThatDiesAfterItWasSeenOnItsBaseHasAnOlderOverlayWhichIsRemoved) {
  die_in_commit("return.before_unlink");
  EXPECT_TRUE(is_pivoted);
  subject->must({"recover"});
  EXPECT_FALSE(has_overlay(*subject));
  EXPECT_EQ(disk(), newest);
}

TEST_F(DomainState, AShutOffDomainStartedMeanwhileIsMergedLive) {
  ProtectedDomain subject;
  subject.init();
  const std::string instant = subject.domain.hash_disk();
  const auto backup = backup_in_the_window(subject);
  subject.domain.start_paused();
  EXPECT_NE(subject.domain.live_source(), subject.domain.disk_path());
  subject.domain.monitor_write("vda", 9 * k_mib, k_mib, 0x32);
  const std::string written = subject.domain.hash_disk();
  backup->go_on();
  const auto outcome = backup->wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  EXPECT_TRUE(subject.domain.is_running());
  subject.expect_at_rest();
  EXPECT_EQ(subject.domain.hash_disk(), written);
  EXPECT_EQ(subject.restored_hash("latest"), instant);
  EXPECT_EQ(latest(subject).at("mode"), "offline");
}

TEST_F(DomainState, ASavedDomainIsRefusedBeforeAnythingIsTouched) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 3 * k_mib, k_mib, 0x31);
  const std::string content = subject.domain.hash_disk();
  ASSERT_EQ(::virDomainManagedSave(subject.domain.handle(), 0), 0);
  const auto outcome = subject.run({"backup", subject.domain.name()});
  expect_error(outcome, 10, "saved memory image");
  EXPECT_THAT(outcome.error_output, HasSubstr("virsh managedsave-remove"));
  subject.expect_at_rest();
  subject.domain.start_paused();
  EXPECT_EQ(subject.domain.hash_disk(), content);
  subject.must({"backup", subject.domain.name()});
  EXPECT_EQ(subject.restored_hash("latest"), content);
}

TEST_F(DomainState, ADomainSavedOnItsOverlaysStartsAgainAndIsMergedThen) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  const std::string instant = subject.domain.hash_disk();
  const auto backup = backup_in_the_window(subject);
  subject.domain.monitor_write("vda", 9 * k_mib, k_mib, 0x32);
  const std::string written = subject.domain.hash_disk();
  ASSERT_EQ(::virDomainManagedSave(subject.domain.handle(), 0), 0);
  backup->go_on();
  expect_error(backup->wait(), 10, "was saved on its overlays");
  EXPECT_TRUE(has_overlay(subject));
  subject.domain.start_paused();
  subject.must({"recover"});
  subject.expect_at_rest();
  EXPECT_EQ(subject.domain.hash_disk(), written);
  EXPECT_EQ(subject.restored_hash("latest"), instant);
}

TEST_F(DomainState, ADomainSavedToAFileOnItsOverlaysIsRestoredAndMergedThen) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  const std::string instant = subject.domain.hash_disk();
  const auto backup = backup_in_the_window(subject);
  subject.domain.monitor_write("vda", 9 * k_mib, k_mib, 0x32);
  const std::string written = subject.domain.hash_disk();
  save(subject);
  backup->go_on();
  const auto outcome = backup->wait();
  expect_error(outcome, 10, "was saved on its overlays (virsh save)");
  EXPECT_THAT(outcome.error_output, HasSubstr("virsh restore FILE"));
  EXPECT_EQ(subject.run({"recover"}).exit_code, 3);
  EXPECT_TRUE(has_overlay(subject));
  restore_saved(subject);
  subject.must({"recover"});
  subject.expect_at_rest();
  EXPECT_EQ(subject.domain.hash_disk(), written);
  EXPECT_EQ(subject.restored_hash("latest"), instant);
}

TEST_F(DomainState, WhoeverThrewTheSavedFileAwayStartsTheDomain) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  const auto backup = backup_in_the_window(subject);
  subject.domain.monitor_write("vda", 9 * k_mib, k_mib, 0x32);
  const std::string written = subject.domain.hash_disk();
  save(subject);
  backup->kill();
  std::filesystem::remove(saved_file(subject));
  EXPECT_EQ(subject.run({"recover"}).exit_code, 3);
  subject.domain.start_paused();
  subject.domain.destroy();
  subject.must({"recover"});
  subject.expect_at_rest();
  EXPECT_EQ(rig::content_hash(subject.domain.disk_path(), "qcow2"), written);
}

TEST_F(DomainState, ADomainSavedToAFileBeforeItsBackupIsMergedUnlessItRanSince) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 3 * k_mib, k_mib, 0x31);
  const std::string content = subject.domain.hash_disk();
  save(subject);
  subject.must({"backup", subject.domain.name()});
  subject.expect_at_rest();
  EXPECT_EQ(subject.restored_hash("latest"), content);
  EXPECT_EQ(latest(subject).at("consistency"), "crash");

  const auto backup = backup_in_the_window(subject);
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 9 * k_mib, k_mib, 0x32);
  const std::string written = subject.domain.hash_disk();
  save(subject);
  backup->go_on();
  expect_error(backup->wait(), 10, "was saved on its overlays (virsh save)");
  restore_saved(subject);
  subject.must({"recover"});
  subject.expect_at_rest();
  EXPECT_EQ(subject.domain.hash_disk(), written);
}

TEST_F(DomainState, ACopyLeavesNoCheckpointAndSaysThatItIsOne) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  const std::string content = subject.domain.hash_disk();
  subject.must({"backup", subject.domain.name(), "--mode=copy"});
  EXPECT_EQ(latest(subject).at("mode"), "copy");
  EXPECT_EQ(::virDomainListAllCheckpoints(subject.domain.handle(), nullptr, 0), 0);
  EXPECT_EQ(base::run_checked({.arguments = {"qemu-img", "info", "-U", "--output=json", subject.domain.disk_path()}},
                              std::chrono::seconds(30))
                .find("\"bitmaps\""),
            std::string::npos);
  EXPECT_EQ(subject.restored_hash("latest"), content);
  subject.expect_at_rest();
}

}  // namespace
}  // namespace icecore::system_test
