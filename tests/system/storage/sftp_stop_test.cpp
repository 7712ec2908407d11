// SPDX-License-Identifier: Apache-2.0
// Somebody asks us to stop: nobody waits for a server that is gone, with the deadlines a user has.
#include <signal.h>

#include "rig/icecore_run.hpp"
#include "system/storage/bad_network.hpp"

namespace icecore::storage {
namespace {

using base::Fault;
using base::Milliseconds;

class SftpStopTest : public BadNetworkTest {};

TEST_F(SftpStopTest, AStopEndsTheWaitForADeadServer) {
  start();
  std::stop_source stop;
  SftpSettings settings{.create = true};
  settings.deadlines.stop = stop.get_token();
  const auto storage = open(settings);
  storage->put("a/b", base::as_bytes("1"));
  proxy_->set_black_hole(true);
  base::Stopwatch asked;
  std::jthread user([&] {
    std::this_thread::sleep_for(Milliseconds(300));
    asked = {};
    stop.request_stop();
  });
  EXPECT_EQ(refusal_of([&] { storage->get("a/b", 10); }).first, Fault::cancelled);
  user.join();
  EXPECT_LT(asked.elapsed(), Milliseconds(2'500));
  // And whoever puts something away then is not kept waiting again and again.
  const base::Stopwatch after;
  EXPECT_EQ(refusal_of([&] { storage->remove("a/b"); }).first, Fault::cancelled);
  EXPECT_LT(after.elapsed(), Milliseconds(500));
}

TEST_F(SftpStopTest, AStopEndsThePauseBeforeTheNextAttempt) {
  start();
  std::stop_source stop;
  SftpSettings settings{.create = true};
  settings.deadlines.stop = stop.get_token();
  settings.backoff = {Milliseconds(60'000), Milliseconds(60'000), Milliseconds(600'000)};
  const auto storage = open(settings);
  proxy_->set_refuse(true);
  proxy_->cut();
  base::Stopwatch asked;
  std::jthread user([&] {
    std::this_thread::sleep_for(Milliseconds(300));
    asked = {};
    stop.request_stop();
  });
  EXPECT_EQ(refusal_of([&] { storage->exists("a/b"); }).first, Fault::cancelled);
  user.join();
  EXPECT_LT(asked.elapsed(), Milliseconds(1'500));
}

// Its disk is slow: sshd says that it lives.
TEST_F(SftpStopTest, AfterAStopALivingServerMayTakeItsTime) {
  start({.service = rig::SftpService::program, .configuration = {}});
  std::stop_source stop;
  SftpSettings settings{.create = true};
  settings.deadlines.stop = stop.get_token();
  const auto storage = open(settings);
  const pid_t service = server_->service_pid();
  ASSERT_EQ(::kill(service, SIGSTOP), 0);
  std::jthread disk([&] {
    std::this_thread::sleep_for(Milliseconds(1'500));
    stop.request_stop();
    std::this_thread::sleep_for(Milliseconds(3'000));
    ::kill(service, SIGCONT);
  });
  storage->put("a/b", base::as_bytes("1"));
  EXPECT_EQ(files_there(), 1);
}

TEST_F(SftpStopTest, AfterAStopALivingServerIsStillTold) {
  start();
  std::stop_source stop;
  SftpSettings settings{.create = true};
  settings.deadlines.stop = stop.get_token();
  const auto storage = open(settings);
  storage->put("a/b", base::as_bytes("1"));
  stop.request_stop();
  storage->remove("a/b");
  EXPECT_EQ(files_there(), 0);
}

// Ctrl-C while the server is gone; maintenance reads the repository past any staging.
TEST_F(SftpStopTest, AnInterruptedCommandEndsThoughTheServerIsGone) {
  ICECORE_NEEDS("icecore");
  start();
  const auto words = [&](const std::string& command) {
    return std::vector<std::string>{command,
                                    "-r",
                                    server_->url("repository", proxy_->port()),
                                    "--key-file",
                                    (server_->home() / "key").string(),
                                    "--state-dir",
                                    (server_->home() / "state").string()};
  };
  ASSERT_EQ(rig::icecore(words("init"), server_->environment()).exit_code, 0);
  for (const char* command : {"verify", "prune"}) {
    proxy_->set_rate(20'000);
    const std::uint64_t before = proxy_->bytes();
    rig::IcecoreRun run(words(command), server_->environment());
    ASSERT_TRUE(proxy_->wait_bytes(before + 1'000));
    proxy_->set_black_hole(true);
    run.signal(SIGINT);
    const base::Stopwatch watch;
    const rig::IcecoreOutcome outcome = run.wait();
    EXPECT_EQ(outcome.exit_code, 130) << outcome.error_output;
    EXPECT_LT(watch.elapsed(), Milliseconds(4'000)) << command;
    proxy_->set_black_hole(false);
  }
}

}  // namespace
}  // namespace icecore::storage
