// SPDX-License-Identifier: Apache-2.0
// What the tests of SFTP over a bad network share.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "rig/requirements.hpp"
#include "rig/ssh_server.hpp"
#include "rig/tcp_proxy.hpp"
#include "rig/undo.hpp"
#include "storage/sftp_storage.hpp"

namespace icecore::storage {

constexpr std::uint64_t k_slow_rate = 20 * base::k_mib;  // so that there is a middle to break in

inline base::Bytes noise(std::size_t size) {
  base::Bytes bytes(size);
  std::uint32_t state = 1;
  for (std::byte& at : bytes) at = static_cast<std::byte>((state = state * 1664525 + 1013904223) >> 24);
  return bytes;
}

inline SftpSettings impatient() {
  SftpSettings settings{.create = true};
  settings.deadlines.silence = base::Milliseconds(2'000);
  settings.deadlines.keepalive = base::Milliseconds(500);
  settings.deadlines.login = base::Milliseconds(5'000);
  settings.backoff = {base::Milliseconds(50), base::Milliseconds(500), base::Milliseconds(20'000)};
  return settings;
}

// An sshd on this host with a proxy before it that a test makes as bad as it wants.
class BadNetworkTest : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "program:sshd", "program:ssh-keygen"); }

  void start(const rig::SshServerSettings& settings = {}) {
    server_.emplace(settings);
    server_->enter_home();
    proxy_.emplace(server_->port());
    server_->trust(proxy_->port());
  }
  std::unique_ptr<SftpStorage> open(const SftpSettings& settings = impatient()) {
    return std::make_unique<SftpStorage>(parse_sftp_url(server_->url("repository", proxy_->port())), settings);
  }
  // Does it while the link is slow, and breaks the link in the middle.
  template <typename Action, typename Break>
  void break_during(Action&& action, Break&& break_it) {
    proxy_->set_rate(k_slow_rate);
    const std::uint64_t before = proxy_->bytes();
    std::jthread worker(std::forward<Action>(action));
    EXPECT_TRUE(proxy_->wait_bytes(before + object_.size() / 3));
    break_it();
    proxy_->set_rate(0);
  }
  template <typename Action>
  static std::pair<base::Fault, std::string> refusal_of(Action&& action) {
    try {
      action();
    } catch (const base::Error& error) {
      return {error.fault(), error.what()};
    }
    ADD_FAILURE() << "nothing was thrown";
    return {};
  }
  std::filesystem::path repository() const { return server_->files() / "repository"; }
  int files_there() const {
    int count = 0;
    for (const std::filesystem::directory_entry& entry : std::filesystem::recursive_directory_iterator(repository())) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }

  std::optional<rig::SshServer> server_;
  std::optional<rig::TcpProxy> proxy_;
  const base::Bytes object_ = noise(8 * base::k_mib);
};

// With a storage opened over it, and a local file to be stored.
class FileOverBadNetworkTest : public BadNetworkTest {
 protected:
  void SetUp() override {
    BadNetworkTest::SetUp();
    start();
    storage_ = open();
    base::write_durably(file_, object_);
  }

  const rig::TestFolder local_;
  const std::filesystem::path file_ = local_.path() / "file";
  std::unique_ptr<SftpStorage> storage_;
};

}  // namespace icecore::storage
