// SPDX-License-Identifier: Apache-2.0
// The way to the repository breaks in the middle of a backup, or the server takes nothing more: the guest is back on
// its disk while that lasts, and the point arrives when it is over.
#include <signal.h>
#include <sys/mount.h>

#include <ostream>

#include "base/process.hpp"
#include "rig/requirements.hpp"
#include "system/job/remote_guest.hpp"

namespace icecore::system_test {
namespace {

namespace fs = std::filesystem;

struct RemoteFault {
  const char* name;
  void (*begin)(RemoteGuest&);
  void (*end)(RemoteGuest&);
  // Of an upload while it lasts:
  int upload_exit_code = 0;
  const char* upload_says = "";
  // Gives the repository's folder a file system of its own.
  void (*mount)(RemoteGuest&) = nullptr;
};

void PrintTo(const RemoteFault& fault, std::ostream* out) { *out << fault.name; }

class FaultTest : public testing::TestWithParam<RemoteFault> {
 protected:
  void SetUp() override {
    ICECORE_NEEDS("root", "libvirt", "guest", "icecore", "program:sshd", "program:ssh-keygen");
    remote_.emplace(/*noise_mib=*/6);
  }
  std::optional<RemoteGuest> remote_;
};

using LostConnection = FaultTest;

TEST_P(LostConnection, TheWaitingBackupGoesOn) {
  remote_->subject.init();
  rig::IcecoreRun& backup = remote_->begin_backup("upload.pack.sending=pause");
  remote_->go_on_into_the_middle();
  GetParam().begin(*remote_);
  remote_->wait_on_base();
  EXPECT_FALSE(backup.has_ended());
  GetParam().end(*remote_);
  const auto outcome = backup.wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  remote_->expect_nothing_lost(remote_->instant());
}

INSTANTIATE_TEST_SUITE_P(, LostConnection,
                         testing::Values(RemoteFault{"SshdIsKilled", [](RemoteGuest& remote) { remote.server.kill(); },
                                                     [](RemoteGuest& remote) { remote.server.start(); }},
                                         RemoteFault{"NetworkIsCut",
                                                     [](RemoteGuest& remote) {
                                                       remote.proxy.set_refuse(true);
                                                       remote.proxy.cut();
                                                     },
                                                     [](RemoteGuest& remote) { remote.proxy.set_refuse(false); }},
                                         RemoteFault{"NetworkIsABlackHole",
                                                     [](RemoteGuest& remote) { remote.proxy.set_black_hole(true); },
                                                     [](RemoteGuest& remote) { remote.proxy.set_black_hole(false); }}),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

void mount_at(const fs::path& place, unsigned long flags, const std::string& options) {
  ASSERT_EQ(::mount("tmpfs", place.c_str(), "tmpfs", flags, options.c_str()), 0);
}

void mount_memory(RemoteGuest& remote) { mount_at(remote.repository(), 0, "size=64m,mode=0700,uid=65534,gid=65534"); }

// Uploads one object at a time: no file system turns read-only while a file in it is open for writing, as that of an
// index is which was sent ahead.
void mount_memory_for_one(RemoteGuest& remote) {
  remote.subject.environment["ICECORE_SFTP_CONNECTIONS"] = "3";
  mount_memory(remote);
}

void run(std::vector<std::string> words) {
  base::run_checked({.arguments = std::move(words), .pass_descriptors = {}, .input = {}}, base::Milliseconds(60'000));
}

// The one file system with quotas that every kernel of Debian has, and some others': its free space says nothing.
void mount_btrfs(RemoteGuest& remote) {
  const std::string image = remote.server.files().parent_path() / "btrfs";
  const std::string place = remote.repository();
  run({"truncate", "--size=256M", image});
  run({"mkfs.btrfs", "--quiet", image});
  run({"mount", "-o", "loop", image, place});
  run({"btrfs", "quota", "enable", place});
  run({"chown", "nobody", place});
}

void limit_quota(RemoteGuest& remote, const std::string& size) {
  run({"btrfs", "qgroup", "limit", size, remote.repository()});
}

class RefusingServer : public FaultTest {
 protected:
  // A file system of its own, of the account that serves.
  void SetUp() override {
    ICECORE_NEEDS("program:mkfs.btrfs", "program:btrfs");
    FaultTest::SetUp();
    if (!remote_) return;
    fs::create_directory(remote_->repository());
    GetParam().mount(*remote_);
    remote_->subject.init();
  }
};

// Somebody has to act first; nobody wants to wait for that.
TEST_P(RefusingServer, TheNextUploadGoesOn) {
  rig::IcecoreRun& backup = remote_->begin_backup("upload.pack.sending=pause");
  GetParam().begin(*remote_);
  backup.go_on();
  remote_->wait_on_base();
  EXPECT_FALSE(backup.has_ended());
  backup.signal(SIGTERM);
  const auto outcome = backup.wait();
  EXPECT_EQ(outcome.exit_code, 130) << outcome.error_output;
  EXPECT_NE(outcome.error_output.find("waits for its upload"), std::string::npos) << outcome.error_output;
  const auto refused = remote_->subject.run({"upload", "--retry-for", "1"});
  EXPECT_EQ(refused.exit_code, GetParam().upload_exit_code) << refused.error_output;
  EXPECT_NE(refused.error_output.find(GetParam().upload_says), std::string::npos) << refused.error_output;
  remote_->subject.expect_at_rest();
  GetParam().end(*remote_);
  remote_->subject.must({"upload"});
  remote_->expect_nothing_lost(remote_->instant());
}

INSTANTIATE_TEST_SUITE_P(
    , RefusingServer,
    testing::Values(
        RemoteFault{"Full", [](RemoteGuest& remote) { mount_at(remote.repository(), MS_REMOUNT, "size=2m"); },
                    [](RemoteGuest& remote) { mount_at(remote.repository(), MS_REMOUNT, "size=64m"); }, 9, "is full",
                    mount_memory},
        RemoteFault{"OverQuota", [](RemoteGuest& remote) { limit_quota(remote, "1M"); },
                    [](RemoteGuest& remote) { limit_quota(remote, "none"); }, 9, "are free: a quota?", mount_btrfs},
        RemoteFault{"ReadOnly", [](RemoteGuest& remote) { mount_at(remote.repository(), MS_REMOUNT | MS_RDONLY, ""); },
                    [](RemoteGuest& remote) { mount_at(remote.repository(), MS_REMOUNT, ""); }, 7, "is read-only",
                    mount_memory_for_one},
        RemoteFault{"Permission", [](RemoteGuest& remote) { fs::permissions(remote.repository(), fs::perms::none); },
                    [](RemoteGuest& remote) { fs::permissions(remote.repository(), fs::perms(0700)); }, 7,
                    "no permission", mount_memory}),
    [](const auto& parameter) { return std::string(parameter.param.name); });

}  // namespace
}  // namespace icecore::system_test
