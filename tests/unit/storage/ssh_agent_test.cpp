// SPDX-License-Identifier: Apache-2.0
#include "storage/ssh_agent.hpp"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <functional>
#include <thread>

#include "base/error.hpp"
#include "base/id.hpp"
#include "storage/sftp_packet.hpp"

namespace icecore::storage {
namespace {

using base::Fault;
using base::Milliseconds;

// Listens as an agent does; whoever calls waits for ever unless answer() was called.
class FakeAgent {
 public:
  FakeAgent() : listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 8), 0);
  }
  ~FakeAgent() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    std::filesystem::remove(path_);
  }
  const std::string& path() const noexcept { return path_; }

  // Sends these bytes to the next caller, unasked.
  void answer(base::Bytes bytes) {
    server_ = std::jthread([this, bytes = std::move(bytes)] {
      caller_ = base::Fd(::accept(listener_.get(), nullptr, nullptr));
      EXPECT_EQ(::send(caller_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    });
  }

 private:
  const std::string path_ = std::filesystem::temp_directory_path() / ("icecore-agent-" + base::random_id(6));
  base::Fd listener_;
  base::Fd caller_;
  std::jthread server_;
};

// Keys of nothing but their type.
base::Bytes keys_answer(std::initializer_list<std::string> types) {
  base::Bytes out;
  SftpPacketWriter packet(out, SftpType{12});
  packet.u32(static_cast<std::uint32_t>(types.size()));
  for (const std::string& type : types) {
    packet.u32(static_cast<std::uint32_t>(4 + type.size())).text(type).text("a comment");
  }
  packet.finish();
  return out;
}

Fault fault_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const base::Error& error) {
    return error.fault();
  }
  return Fault::internal;
}

SshAgent open(const FakeAgent& fake) {
  return SshAgent(fake.path(), {.list = Milliseconds(500), .sign = Milliseconds(100)}, {});
}

TEST(SshAgentTest, TellsItsKeysTheUsefulFirst) {
  FakeAgent fake;
  fake.answer(keys_answer({"ssh-rsa", "ssh-ed25519", "ecdsa-sha2-nistp256"}));
  const SshAgent agent = open(fake);
  ASSERT_EQ(agent.keys().size(), 3U);
  EXPECT_EQ(base::to_string(agent.keys()[0]).substr(4), "ssh-ed25519");
  EXPECT_EQ(base::to_string(agent.keys()[2]).substr(4), "ssh-rsa");
}

TEST(SshAgentTest, OneThatHangsIsGivenUp) {
  const FakeAgent fake;
  const base::Stopwatch watch;
  EXPECT_EQ(fault_of([&] { open(fake); }), Fault::unavailable);
  EXPECT_LT(watch.elapsed(), Milliseconds(5'000));
}

TEST(SshAgentTest, OneThatDoesNotSignIsGivenUp) {
  FakeAgent fake;
  fake.answer(keys_answer({"one"}));
  SshAgent agent = open(fake);
  EXPECT_EQ(fault_of([&] { agent.sign(agent.keys()[0], base::as_bytes("data")); }), Fault::unavailable);
}

TEST(SshAgentTest, AStopEndsTheWait) {
  const FakeAgent fake;
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(fault_of([&] { SshAgent(fake.path(), {.list = Milliseconds(60'000)}, stop.get_token()); }),
            Fault::cancelled);
}

TEST(SshAgentTest, SignsAndRefuses) {
  FakeAgent fake;
  base::Bytes answers = keys_answer({"one"});
  base::Bytes signature;
  SftpPacketWriter(signature, SftpType{0}).text("ssh-ed25519").text("signature").finish();
  SftpPacketWriter(answers, SftpType{14})
      .text(base::to_string(base::ByteView(signature).subspan(5)))  // behind its header
      .finish();
  SftpPacketWriter(answers, SftpType{5}).finish();
  fake.answer(answers);
  SshAgent agent = open(fake);
  EXPECT_EQ(base::to_string(agent.sign(agent.keys()[0], base::as_bytes("data"))), "signature");
  EXPECT_EQ(fault_of([&] { agent.sign(agent.keys()[0], base::as_bytes("data")); }), Fault::denied);
}

TEST(SshAgentTest, AnythingElseIsNoAgent) {
  // The last are refusals and half a list.
  for (const std::string& text : {std::string("HTTP/1.1 400 Bad Request"), std::string("\xff\xff\xff\xff"),
                                  std::string("\0\0\0\1\5", 5), std::string("\0\0\0\2\14\0", 6)}) {
    FakeAgent fake;
    base::Bytes bytes(std::max<std::size_t>(text.size(), 6));
    std::memcpy(bytes.data(), text.data(), text.size());
    fake.answer(bytes);
    EXPECT_EQ(fault_of([&] { open(fake); }), Fault::unavailable);
  }
  EXPECT_EQ(fault_of([&] { SshAgent("/nonexistent", {}, {}); }), Fault::unavailable);
}

}  // namespace
}  // namespace icecore::storage
