// SPDX-License-Identifier: Apache-2.0
// A guest that is really frozen while icecore dies, and one that goes away inside the window.
#include <gtest/gtest.h>

#include <thread>

#include "rig/guest.hpp"
#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

class FrozenGuest : public testing::Test {
 protected:
  void SetUp() override {
    ICECORE_NEEDS("root", "libvirt", "icecore", "guest");
    subject.emplace(rig::DomainOptions{.disks = {{.image = {.file_system = true}}}});
    subject->init();
    subject->domain.start();
    guest.emplace(subject->domain);
    guest->wait_agent();
  }
  std::vector<std::string> backup_words() const {
    return {"backup", subject->domain.name(), "--quiesce=required", "--freeze-limit=1500"};
  }
  void wait_thawed() {
    const base::Stopwatch watch;
    while (guest->freeze_status() != "thawed") {
      ASSERT_LT(watch.elapsed(), std::chrono::seconds(20)) << "still frozen";
      std::this_thread::sleep_for(base::Milliseconds(50));
    }
  }

  std::optional<ProtectedDomain> subject;
  std::optional<rig::Guest> guest;
};

// One guest for all of them, since each leaves it as it was: a boot takes longer than the rest.
TEST_F(FrozenGuest, IsThawedByTheWatchdogWhenIcecoreIsKilled) {
  for (const std::string failpoint :
       {"backup.intent.frozen", "backup.acted.frozen", "backup.fact.frozen", "backup.acted.snapshotted"}) {
    SCOPED_TRACE(failpoint);
    rig::IcecoreRun backup(subject->with_options(backup_words()), {{"ICECORE_FAILPOINTS", failpoint + "=pause"}});
    backup.wait_failpoint();
    if (failpoint != "backup.intent.frozen") {
      EXPECT_EQ(guest->freeze_status(), "frozen");
    }
    EXPECT_EQ(backup.kill().exit_code, 137);
    wait_thawed();
    guest->write_file("/mnt/after", failpoint);
    subject->must({"recover"});
    subject->expect_at_rest();
    EXPECT_EQ(guest->shell("cat /mnt/after"), failpoint);
    EXPECT_TRUE(subject->points().empty());
  }
  subject->must(backup_words());
  EXPECT_EQ(guest->freeze_status(), "thawed");
}

// recover does not wait for the watchdog.
TEST_F(FrozenGuest, IsThawedByRecover) {
  rig::IcecoreRun backup(subject->with_options({"backup", subject->domain.name(), "--freeze-limit=60000"}),
                         {{"ICECORE_FAILPOINTS", "backup.acted.snapshotted=pause"}});
  backup.wait_failpoint();
  ASSERT_EQ(guest->freeze_status(), "frozen");
  backup.kill();
  subject->must({"recover"});
  EXPECT_EQ(guest->freeze_status(), "thawed");
  subject->expect_at_rest();
}

TEST_F(FrozenGuest, ThatPowersOffInTheWindowIsBackedUpAllTheSame) {
  rig::IcecoreRun backup(subject->with_options(backup_words()),
                         {{"ICECORE_FAILPOINTS", "backup.intent.reading=pause"}});
  backup.wait_failpoint();
  const std::string instant = rig::content_hash(subject->domain.disk_path(), "qcow2");
  guest->write_file("/mnt/last-words", "bye");
  guest->shut_down();
  const std::string written = subject->domain.hash_disk();
  backup.go_on();
  const auto outcome = backup.wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  subject->expect_at_rest();
  EXPECT_EQ(rig::content_hash(subject->domain.disk_path(), "qcow2"), written);
  EXPECT_EQ(subject->restored_hash("latest"), instant);
}

}  // namespace
}  // namespace icecore::system_test
