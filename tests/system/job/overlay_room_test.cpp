// SPDX-License-Identifier: Apache-2.0
// QEMU pauses a guest whose write finds no room. The room is there again once the overlay is merged.
#include <gmock/gmock.h>
#include <sys/mount.h>

#include <optional>

#include "rig/guest.hpp"
#include "rig/requirements.hpp"
#include "rig/undo.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t k_mib = 1024 * 1024;

class FullOverlayFolder : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }

  static int state_of(const ProtectedDomain& subject) {
    int state = -1;
    int reason = -1;
    ::virDomainGetState(subject.domain.handle(), &state, &reason, 0);
    return state;
  }
  // The guest runs; its overlays go to a file system of `mib` MiB, and `arguments` of a backup say so.
  void begin(int mib) {
    subject.emplace(rig::DomainOptions{.disks = {{.image = {.file_system = true}}}});
    subject->init();
    const auto small = subject->domain.folder() / "small";
    std::filesystem::create_directory(small);
    ASSERT_EQ(::mount("tmpfs", small.c_str(), "tmpfs", 0, fmt::format("size={}m,mode=0755", mib).c_str()), 0);
    subject->domain.undo().folder(small);
    arguments = {"backup", subject->domain.name(), "--overlay-dir", small};
    subject->domain.start();
    guest.emplace(subject->domain);
    guest->wait_agent();
  }
  // More than there is room for; the guest stands still afterwards.
  void fill(int mib) {
    guest->shell(fmt::format("dd if=/dev/urandom of=/mnt/big bs=1M count={} conv=fsync >/dev/null 2>&1 &", mib));
    wait_until("there is no room any more", [&] { return state_of(*subject) == VIR_DOMAIN_PAUSED; });
    ASSERT_EQ(state_of(*subject), VIR_DOMAIN_PAUSED);
  }
  void expect_gone_on(const rig::IcecoreOutcome& outcome, int mib) {
    EXPECT_THAT(outcome.error_output, HasSubstr("was paused by an I/O error on its overlay, and goes on"));
    EXPECT_EQ(state_of(*subject), VIR_DOMAIN_RUNNING);
    guest->shell(
        fmt::format("while pidof dd >/dev/null; do sleep 1; done; sync; [ $(stat -c %s /mnt/big) = {} ]", mib * k_mib));
  }

  std::optional<ProtectedDomain> subject;
  std::optional<rig::Guest> guest;
  std::vector<std::string> arguments;
};

TEST_F(FullOverlayFolder, IsEmptiedAndTheGuestGoesOn) {
  ICECORE_NEEDS("guest");
  ASSERT_NO_FATAL_FAILURE(begin(8));
  rig::IcecoreRun backup(subject->with_options(arguments), {{"ICECORE_FAILPOINTS", "backup.fact.thawed=pause"}});
  backup.wait_failpoint();
  ASSERT_NO_FATAL_FAILURE(fill(16));
  backup.go_on();
  expect_gone_on(backup.wait(), 16);
  subject->expect_at_rest();
}

// With layers too: there the one before makes room, the new one stays.
TEST_F(FullOverlayFolder, IsGivenTheRoomOfTheLayerThatIsMerged) {
  ICECORE_NEEDS("guest");
  ASSERT_NO_FATAL_FAILURE(begin(24));
  arguments.emplace_back("--change-map=layer");
  subject->must(arguments);
  guest->shell("dd if=/dev/urandom of=/mnt/before bs=1M count=10 conv=fsync");
  rig::IcecoreRun backup(subject->with_options(arguments), {{"ICECORE_FAILPOINTS", "layer.before_commit=pause"}});
  backup.wait_failpoint();
  ASSERT_NO_FATAL_FAILURE(fill(15));
  backup.go_on();
  const rig::IcecoreOutcome outcome = backup.wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  expect_gone_on(outcome, 15);
  subject->must({"recover", subject->domain.name(), "--merge-layers"});
  subject->expect_at_rest();
}

// What the guest wrote is there twice until it is merged: a backup ends while there is room for that.
TEST_F(FullOverlayFolder, IsNotReachedBeforeTheMergeThatNeedsRoomToo) {
  const rig::TestFolder folder;
  const auto small = folder.path() / "small";
  std::filesystem::create_directory(small);
  ASSERT_EQ(::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=48m,mode=0755"), 0);
  rig::make_image(small / "vda.qcow2", {});
  ProtectedDomain tight(rig::DomainOptions{.disks = {{.existing = small / "vda.qcow2"}}});
  tight.init();
  tight.domain.start_paused();
  rig::IcecoreRun backup(tight.with_options({"backup", tight.domain.name()}),
                         {{"ICECORE_FAILPOINTS", "backup.intent.reading=pause"}});
  backup.wait_failpoint();
  tight.domain.monitor_write("vda", 0, 23 * k_mib, 0x42);
  backup.go_on();
  const rig::IcecoreOutcome outcome = backup.wait();
  EXPECT_EQ(outcome.exit_code, 9);
  EXPECT_THAT(outcome.error_output, HasSubstr("to merge what it has written may take"));
  EXPECT_EQ(tight.domain.live_source(), tight.domain.disk_path());
}

}  // namespace
}  // namespace icecore::system_test
