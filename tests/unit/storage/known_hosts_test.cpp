// SPDX-License-Identifier: Apache-2.0
#include "storage/known_hosts.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/id.hpp"

namespace icecore::storage {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;
using testing::UnorderedElementsAre;
namespace fs = std::filesystem;
using enum HostKeyVerdict;

// Made by ssh-keygen; and hashed by it under "[nas]:2222" and "plain".
constexpr std::string_view k_key = "AAAAC3NzaC1lZDI1NTE5AAAAIPuPNV7bAbkL18U5x38SKLjTZe5FKwn139FEFO8Wrk+D";
constexpr std::string_view k_hash_of_nas = "|1|3neDYJmNG1cS24t0efOGSBgTHG8=|9aOJbPnc1HJqzxNjX738nLtEOSs=";
constexpr std::string_view k_hash_of_plain = "|1|69Vfz1AQ/VPaQfnKGZsOO8CxnT8=|iisfNkM4ih82NyooXlkTx7HsEX8=";

base::Bytes from_base64(std::string_view text) {
  constexpr std::string_view k_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  base::Bytes bytes;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char digit : text) {
    bits = bits << 6 | static_cast<std::uint32_t>(k_digits.find(digit));
    if ((count += 6) < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<std::byte>(bits >> count & 0xff));
  }
  return bytes;
}

const HostKey k_shown{"ssh-ed25519", from_base64(k_key)};
const HostKey k_other{"ssh-ed25519", base::Bytes(51)};

KnownHosts hosts_of(const std::string& text) {
  KnownHosts hosts;
  hosts.add(text);
  return hosts;
}

std::string line(std::string_view names) { return fmt::format("{} ssh-ed25519 {} a comment\n", names, k_key); }

TEST(KnownHosts, Base64) {
  EXPECT_EQ(to_base64(base::as_bytes("")), "");
  EXPECT_EQ(to_base64(base::as_bytes("a")), "YQ==");
  EXPECT_EQ(to_base64(base::as_bytes("ab")), "YWI=");
  EXPECT_EQ(to_base64(base::as_bytes("abc")), "YWJj");
  EXPECT_EQ(to_base64(k_shown.blob), k_key);
}

TEST(KnownHosts, NobodyIsKnownAtFirst) { EXPECT_EQ(hosts_of("# nobody\n\nhalf\n").judge("nas", 22, k_shown), unknown); }

TEST(KnownHosts, KnownByNameAndPort) {
  const KnownHosts hosts = hosts_of(line("nas,10.0.0.1") + line("[web]:2222"));
  EXPECT_EQ(hosts.judge("nas", 22, k_shown), known);
  EXPECT_EQ(hosts.judge("10.0.0.1", 22, k_shown), known);
  EXPECT_EQ(hosts.judge("nas", 2222, k_shown), unknown);
  EXPECT_EQ(hosts.judge("web", 2222, k_shown), known);
  EXPECT_EQ(hosts.judge("web", 22, k_shown), unknown);
}

TEST(KnownHosts, HashedNames) {
  const KnownHosts hosts = hosts_of(line(k_hash_of_nas) + line(k_hash_of_plain));
  EXPECT_EQ(hosts.judge("nas", 2222, k_shown), known);
  EXPECT_EQ(hosts.judge("plain", 22, k_shown), known);
  EXPECT_EQ(hosts.judge("plain", 22, k_other), changed);
  EXPECT_EQ(hosts.judge("nas", 22, k_shown), unknown);
}

TEST(KnownHosts, Patterns) {
  const KnownHosts hosts = hosts_of(line("*.example.org,!bad.example.org"));
  EXPECT_EQ(hosts.judge("nas.example.org", 22, k_shown), known);
  EXPECT_EQ(hosts.judge("bad.example.org", 22, k_shown), unknown);
}

TEST(KnownHosts, AnotherKeyIsAChange) {
  EXPECT_EQ(hosts_of(line("nas")).judge("nas", 22, k_other), changed);
  // One of several keys is enough.
  EXPECT_EQ(hosts_of("nas ssh-ed25519 AAAA\n" + line("nas")).judge("nas", 22, k_shown), known);
  // A key of another type is a change too, but of one that libssh2 cannot check.
  EXPECT_EQ(hosts_of("nas ecdsa-sha2-nistp256 AAAA\n").judge("nas", 22, k_shown), changed);
  EXPECT_EQ(hosts_of("nas ssh-rsa AAAA\n").judge("nas", 22, k_shown), unknown);
}

TEST(KnownHosts, ARevokedKeyIsNeverTrusted) {
  EXPECT_EQ(hosts_of(line("nas") + "@revoked " + line("*")).judge("nas", 22, k_shown), revoked);
  EXPECT_EQ(hosts_of("@revoked " + line("*")).judge("nas", 22, k_other), unknown);
  EXPECT_EQ(hosts_of("@cert-authority " + line("nas")).judge("nas", 22, k_shown), unknown);
}

TEST(KnownHosts, TypesOfAHost) {
  const KnownHosts hosts = hosts_of(line("nas") + "nas ecdsa-sha2-nistp256 AAAA\nweb ssh-rsa AAAA\n");
  EXPECT_THAT(hosts.key_types("nas", 22), UnorderedElementsAre("ssh-ed25519", "ecdsa-sha2-nistp256"));
}

// With ~/.ssh of its own.
class LearnedHostKey : public testing::Test {
 protected:
  ~LearnedHostKey() override { fs::remove_all(folder_); }
  bool knows(const fs::path& file, int port) const {
    return KnownHosts::load({file}).judge("nas", port, k_shown) == known;
  }
  const fs::path folder_ = fs::temp_directory_path() / ("icecore-test-" + base::random_id(6));
  const fs::path file_ = folder_ / ".ssh" / "known_hosts";
};

TEST_F(LearnedHostKey, IsKnown) {
  learn_host_key(file_, "nas", 22, k_other);
  EXPECT_EQ(fs::status(file_).permissions(), fs::perms(0600));
  base::write_durably(file_, base::as_bytes("web ssh-rsa AAAA"));  // no line end
  learn_host_key(file_, "nas", 2222, k_shown);
  const KnownHosts hosts = KnownHosts::load({file_, folder_ / "missing"});
  EXPECT_EQ(hosts.judge("nas", 2222, k_shown), known);
  EXPECT_EQ(hosts.key_types("web", 22).size(), 1U);
}

TEST_F(LearnedHostKey, StandsBehindALink) {
  base::create_folders(folder_ / ".ssh");
  fs::create_symlink(folder_ / "shared", file_);
  learn_host_key(file_, "nas", 22, k_shown);  // which led nowhere
  learn_host_key(file_, "nas", 2222, k_shown);
  EXPECT_TRUE(fs::is_symlink(file_));
  EXPECT_TRUE(knows(folder_ / "shared", 22));
  EXPECT_TRUE(knows(folder_ / "shared", 2222));
}

// `UserKnownHostsFile /dev/null` in ~/.ssh/config; a pipe stands for the device.
TEST_F(LearnedHostKey, NeverTakesThePlaceOfADevice) {
  base::create_folders(folder_ / ".ssh");
  ASSERT_EQ(::mkfifo(file_.c_str(), 0600), 0);
  const auto learn = [&] { learn_host_key(file_, "nas", 22, k_shown); };
  EXPECT_THAT(learn, ThrowsMessage<base::Error>(HasSubstr("cannot be remembered")));
  EXPECT_EQ(fs::status(file_).type(), fs::file_type::fifo);
  EXPECT_EQ(fs::directory_iterator(file_.parent_path())->path(), file_);
}

}  // namespace
}  // namespace icecore::storage
