// SPDX-License-Identifier: Apache-2.0
// A name server that takes questions and answers none, on a host of its own: name spaces of one thread.
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include <functional>
#include <thread>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "rig/requirements.hpp"
#include "rig/undo.hpp"
#include "storage/ssh_socket.hpp"

namespace icecore::storage {
namespace {

using base::Fault;
using base::Milliseconds;

constexpr int k_name_service = 53;
// Far from both deadlines of the tests below, and from what the resolver waits for by itself.
constexpr std::chrono::seconds k_long{10};

void require(bool good, const char* what) {
  if (!good) base::fail_errno(errno, what);
}

void lay_over(const std::filesystem::path& folder, const std::string& name, std::string_view text) {
  base::write_durably(folder / name, base::as_bytes(text));
  require(::mount((folder / name).c_str(), ("/etc/" + name).c_str(), nullptr, MS_BIND, nullptr) == 0, "mount");
}

base::Fd open_silent_name_server() {
  base::Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq loopback{};
  loopback.ifr_name[0] = 'l';
  loopback.ifr_name[1] = 'o';
  loopback.ifr_flags = IFF_UP;
  require(::ioctl(socket.get(), SIOCSIFFLAGS, &loopback) == 0, "set lo up");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(k_name_service);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  require(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "bind");
  return socket;
}

class SftpNameLookUpTest : public testing::Test {
 protected:
  void SetUp() override {
    ICECORE_NEEDS("root");
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "glibc looks names up on threads it makes by itself, on which ThreadSanitizer crashes";
#endif
  }

  // Runs it on a thread whose host asks a name server that says nothing.
  void where_nobody_answers(const std::function<void()>& action) {
    std::thread([&] {
      try {
        require(::unshare(CLONE_NEWNS | CLONE_NEWNET) == 0, "unshare");
        require(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "mount");
        lay_over(test_.path(), "resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n");
        lay_over(test_.path(), "nsswitch.conf", "hosts: dns\n");
        const base::Fd server = open_silent_name_server();
        action();
      } catch (const base::Error& error) {
        ADD_FAILURE() << error.what();
      }
    }).join();
  }
  static void expect_given_up(const SshDeadlines& deadlines) {
    const base::Stopwatch watch;
    try {
      connect_tcp("backup.example", 22, deadlines);
      ADD_FAILURE() << "it has an address";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), Fault::unavailable);
      EXPECT_NE(std::string(error.what()).find("no name server answers"), std::string::npos) << error.what();
    }
    EXPECT_LT(watch.elapsed(), k_long);
  }

  rig::TestFolder test_;
};

TEST_F(SftpNameLookUpTest, ASilentNameServerIsGivenUpAtTheDeadline) {
  where_nobody_answers([] { expect_given_up({.connect = Milliseconds(300)}); });
}

TEST_F(SftpNameLookUpTest, AStopCutsItShort) {
  std::stop_source stop;
  stop.request_stop();
  where_nobody_answers(
      [&] { expect_given_up({.connect = 2 * k_long, .parting = Milliseconds(300), .stop = stop.get_token()}); });
}

}  // namespace
}  // namespace icecore::storage
