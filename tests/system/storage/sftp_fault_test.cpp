// SPDX-License-Identifier: Apache-2.0
// What can go wrong between us and an SSH server, staged: nothing is lost, nothing hangs, and the fault says what
// helps.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>

#include <thread>

#include "base/durable_file.hpp"
#include "system/storage/bad_network.hpp"

namespace icecore::storage {
namespace {

using base::Fault;
using base::Milliseconds;
using rig::SftpService;
using testing::HasSubstr;
namespace fs = std::filesystem;

class SftpFaultTest : public BadNetworkTest {};

TEST_F(SftpFaultTest, ServerKilledAndStartedAgainDuringPut) {
  start();
  const auto storage = open();
  break_during([&] { storage->put("packs/ab/x", object_); },
               [&] {
                 server_->kill();
                 server_->start();
               });
  EXPECT_EQ(base::read_file(repository() / "packs/ab/x"), object_);
  EXPECT_EQ(storage->list("packs").size(), 1U);
  EXPECT_EQ(files_there(), 1);  // what the broken attempt left was cleaned up by the next
}

TEST_F(SftpFaultTest, ConnectionCutDuringPut) {
  start();
  const auto storage = open();
  EXPECT_TRUE(storage->durable_puts());
  EXPECT_EQ(storage->generation(), 0U);
  break_during([&] { storage->put("packs/ab/x", object_); }, [&] { proxy_->cut(); });
  EXPECT_EQ(storage->generation(), 1U);
  EXPECT_EQ(base::read_file(repository() / "packs/ab/x"), object_);
  EXPECT_EQ(files_there(), 1);
}

TEST_F(SftpFaultTest, ConnectionCutDuringGet) {
  start();
  const auto storage = open();
  storage->put("packs/ab/x", object_);
  base::Bytes got;
  break_during([&] { got = storage->get("packs/ab/x", 64 * base::k_mib); }, [&] { proxy_->cut(); });
  EXPECT_EQ(got, object_);
}

TEST_F(SftpFaultTest, NetworkSwallowsEverythingForAWhileDuringPut) {
  start();
  const auto storage = open();
  const int before = proxy_->connections();
  break_during([&] { storage->put("packs/ab/x", object_); },
               [&] {
                 proxy_->set_black_hole(true);
                 std::this_thread::sleep_for(Milliseconds(4'000));  // twice what is taken for silence
                 proxy_->set_black_hole(false);
               });
  EXPECT_EQ(base::read_file(repository() / "packs/ab/x"), object_);
  EXPECT_GT(proxy_->connections(), before);
}

TEST_F(SftpFaultTest, NetworkSwallowsEverythingForAWhileDuringGet) {
  start();
  const auto storage = open();
  storage->put("packs/ab/x", object_);
  base::Bytes got;
  break_during([&] { got = storage->get("packs/ab/x", 64 * base::k_mib); },
               [&] {
                 proxy_->set_black_hole(true);
                 std::this_thread::sleep_for(Milliseconds(4'000));
                 proxy_->set_black_hole(false);
               });
  EXPECT_EQ(got, object_);
}

TEST_F(SftpFaultTest, ADeadServerIsGivenUpInTime) {
  start();
  SftpSettings settings = impatient();
  settings.backoff.give_up_after = Milliseconds(3'000);
  const auto storage = open(settings);
  storage->put("a/b", base::as_bytes("1"));
  proxy_->set_black_hole(true);
  const base::Stopwatch watch;
  const auto [fault, text] = refusal_of([&] { storage->get("a/b", 10); });
  EXPECT_EQ(fault, Fault::unavailable);
  EXPECT_LT(watch.elapsed(), Milliseconds(15'000)) << text;
  proxy_->set_black_hole(false);
  EXPECT_EQ(base::to_string(storage->get("a/b", 10)), "1");
}

TEST_F(SftpFaultTest, AnIdleConnectionThatDiedIsReplaced) {
  start();
  const auto storage = open();
  storage->put("a/b", base::as_bytes("1"));
  server_->kill();
  server_->start();
  const base::Stopwatch watch;
  EXPECT_EQ(base::to_string(storage->get("a/b", 10)), "1");
  EXPECT_LT(watch.elapsed(), Milliseconds(2'000));
}

// Each of them would cost the time in which silence is noticed.
TEST_F(SftpFaultTest, ManyIdleConnectionsThatDiedCostOneWait) {
  constexpr int k_idle = 6;
  start();
  SftpSettings settings = impatient();
  settings.backoff.give_up_after = settings.deadlines.silence * (k_idle - 2);
  const auto storage = open(settings);
  proxy_->set_latency(Milliseconds(50));
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < k_idle; ++i) threads.emplace_back([&] { storage->exists("a/b"); });
  }
  ASSERT_GE(proxy_->connections(), k_idle);
  proxy_->forget();
  const base::Stopwatch watch;
  EXPECT_FALSE(storage->exists("a/b"));
  EXPECT_LT(watch.elapsed(), settings.deadlines.silence * 3);
}

// A stall is no progress, however short; a slow link is no stall, however long.
TEST_F(SftpFaultTest, ASlowLinkIsNotGivenUp) {
  start();
  const auto storage = open();
  proxy_->set_rate(400'000);
  const int before = proxy_->connections();
  const base::Bytes object = noise(2 * base::k_mib);
  const base::Stopwatch watch;
  storage->put("packs/ab/x", object);
  EXPECT_EQ(storage->get("packs/ab/x", 64 * base::k_mib), object);
  EXPECT_GT(watch.elapsed(), impatient().deadlines.silence * 3);
  EXPECT_EQ(proxy_->connections(), before);
}

// sshd answers keepalives while the disk behind its SFTP service hangs.
TEST_F(SftpFaultTest, AHungServiceOfALivingServer) {
  start({.service = SftpService::program, .configuration = {}});
  SftpSettings settings = impatient();
  settings.connections = 1;
  settings.deadlines.answer = Milliseconds(6'000);
  settings.backoff.give_up_after = Milliseconds(0);
  const auto storage = open(settings);
  const pid_t pid = server_->service_pid();
  ASSERT_GT(pid, 0);
  ASSERT_EQ(::kill(pid, SIGSTOP), 0);
  {
    // Longer than silence, and then it goes on.
    std::jthread wake([&] {
      std::this_thread::sleep_for(Milliseconds(4'000));
      ::kill(pid, SIGCONT);
    });
    EXPECT_FALSE(storage->exists("a/b"));
  }
  ASSERT_EQ(::kill(pid, SIGSTOP), 0);
  const auto [fault, text] = refusal_of([&] { storage->exists("a/b"); });
  EXPECT_EQ(fault, Fault::unavailable);
  EXPECT_THAT(text, HasSubstr("lives, but its SFTP service"));
}

// Its kernel goes on confirming what we send.
TEST_F(SftpFaultTest, AHungServer) {
  start();
  SftpSettings settings = impatient();
  settings.backoff.give_up_after = Milliseconds(0);
  const auto storage = open(settings);
  server_->signal(SIGSTOP);
  const base::Stopwatch watch;
  const auto [fault, text] = refusal_of([&] { storage->exists("a/b"); });
  EXPECT_EQ(fault, Fault::unavailable);
  EXPECT_THAT(text, HasSubstr("nothing was heard"));
  EXPECT_LT(watch.elapsed(), Milliseconds(8'000));
  server_->signal(SIGCONT);
  EXPECT_FALSE(storage->exists("a/b"));
}

TEST_F(SftpFaultTest, AFullFileSystem) {
  start();
  fs::create_directory(repository());
  ASSERT_EQ(::mount("tmpfs", repository().c_str(), "tmpfs", 0, "size=12m"), 0);
  const auto storage = open();
  storage->put("packs/ab/x", object_);
  const base::Stopwatch watch;
  const auto [fault, text] = refusal_of([&] { storage->put("packs/cd/y", object_); });
  EXPECT_EQ(fault, Fault::no_space);
  EXPECT_EQ(remedy_of(fault), Remedy::wait);
  EXPECT_THAT(text, HasSubstr("full"));
  EXPECT_LT(watch.elapsed(), Milliseconds(5'000));  // not tried again and again
  EXPECT_EQ(files_there(), 1);
  storage->remove("packs/ab/x");
  storage->put("packs/cd/y", object_);
  EXPECT_EQ(storage->list("packs").size(), 1U);
}

TEST_F(SftpFaultTest, AFullFileSystemOfABareServer) {
  start({.service = SftpService::bare, .configuration = {}});
  fs::create_directory(repository());
  ASSERT_EQ(::mount("tmpfs", repository().c_str(), "tmpfs", 0, "size=4m"), 0);
  const auto storage = open();
  EXPECT_FALSE(storage->durable_puts());
  EXPECT_EQ(refusal_of([&] { storage->put("packs/cd/y", object_); }).first, Fault::no_space);
  EXPECT_EQ(files_there(), 0);
}

TEST_F(SftpFaultTest, AReadOnlyFileSystem) {
  start();
  const auto storage = open();
  storage->put("a/b", base::as_bytes("1"));
  ASSERT_EQ(::mount(repository().c_str(), repository().c_str(), nullptr, MS_BIND, nullptr), 0);
  ASSERT_EQ(::mount(nullptr, repository().c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr), 0);
  const auto [fault, text] = refusal_of([&] { storage->put("a/c", object_); });
  EXPECT_EQ(fault, Fault::denied);
  EXPECT_THAT(text, HasSubstr("read-only"));
  EXPECT_EQ(base::to_string(storage->get("a/b", 10)), "1");
  // What keeps it from being written is the folder that cannot be made, two above.
  const auto [deep_fault, deep_text] = refusal_of([&] { storage->put("packs/ab/x", object_); });
  EXPECT_EQ(deep_fault, Fault::denied);
  EXPECT_THAT(deep_text, HasSubstr("read-only"));
}

// /proc/self/mem answers EIO where nothing is.
TEST_F(SftpFaultTest, ADiskThatFailsToRead) {
  start();
  const auto storage = open();
  fs::create_symlink("/proc/self/mem", repository() / "bad");
  const base::Stopwatch watch;
  const auto [fault, text] = refusal_of([&] { storage->get_range("bad", 0, 10); });
  EXPECT_EQ(fault, Fault::corrupt);
  EXPECT_THAT(text, HasSubstr("cannot read what it holds"));
  EXPECT_LT(watch.elapsed(), Milliseconds(5'000));  // not tried again and again
}

TEST_F(SftpFaultTest, PermissionLostAndGivenBack) {
  start({.service = SftpService::chroot, .configuration = {}});
  const auto storage = open();
  storage->put("packs/ab/x", base::as_bytes("1"));
  fs::permissions(repository() / "packs/ab", fs::perms(0500));
  const auto [fault, text] = refusal_of([&] { storage->put("packs/ab/y", object_); });
  EXPECT_EQ(fault, Fault::denied);
  EXPECT_EQ(remedy_of(fault), Remedy::wait);
  EXPECT_EQ(refusal_of([&] { storage->remove("packs/ab/x"); }).first, Fault::denied);
  fs::permissions(repository() / "packs/ab", fs::perms(0700));
  storage->put("packs/ab/y", object_);
  EXPECT_EQ(storage->list("packs").size(), 2U);
}

TEST_F(SftpFaultTest, AFolderTakenAwayIsMadeAgain) {
  start();
  const auto storage = open();
  storage->put("packs/ab/x", base::as_bytes("1"));
  fs::remove_all(repository() / "packs");
  storage->put("packs/ab/y", base::as_bytes("2"));
  EXPECT_EQ(storage->list("packs").size(), 1U);
}

// Its disk is not mounted any more.
TEST_F(SftpFaultTest, ARootThatWentAwayIsNotMadeAgain) {
  start();
  const auto storage = open();
  storage->put("packs/ab/x", base::as_bytes("1"));
  const fs::path away = repository().string() + "-away";
  fs::rename(repository(), away);
  EXPECT_EQ(refusal_of([&] { storage->put("packs/ab/y", object_); }).first, Fault::unavailable);
  EXPECT_EQ(refusal_of([&] { storage->put("index/y", object_); }).first, Fault::unavailable);
  EXPECT_EQ(refusal_of([&] { storage->list("packs"); }).first, Fault::unavailable);
  EXPECT_FALSE(fs::exists(repository()));
  fs::rename(away, repository());
  storage->put("packs/ab/y", base::as_bytes("2"));
  EXPECT_EQ(storage->list("packs").size(), 2U);
}

// The server asks for new keys in the middle of a transfer.
TEST_F(SftpFaultTest, KeysAreExchangedAgainUnderway) {
  start({.service = SftpService::internal, .configuration = {"RekeyLimit 1M"}});
  const auto storage = open();
  storage->put("packs/ab/x", object_);
  EXPECT_EQ(storage->get("packs/ab/x", 64 * base::k_mib), object_);
}

// An object costs three round trips, reading one two; folders cost none of their own.
TEST_F(SftpFaultTest, FewRoundTrips) {
  start();
  const auto storage = open();
  constexpr Milliseconds k_round_trip{200};
  proxy_->set_latency(k_round_trip / 2);
  const base::Stopwatch put;
  storage->put("packs/ab/x", base::as_bytes("1"));
  EXPECT_LT(put.elapsed(), k_round_trip * 4);
  const base::Stopwatch get;
  storage->get("packs/ab/x", 10);
  EXPECT_LT(get.elapsed(), k_round_trip * 3);
}

}  // namespace
}  // namespace icecore::storage
