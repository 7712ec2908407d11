// SPDX-License-Identifier: Apache-2.0
// The rig's sshd, and the proxy before it, with OpenSSH's own client.
#include "rig/ssh_server.hpp"

#include <gtest/gtest.h>

#include "base/durable_file.hpp"
#include "rig/requirements.hpp"
#include "rig/tcp_proxy.hpp"

namespace icecore::rig {
namespace {

base::Outcome sftp(const SshServer& server, int port, const std::string& line) {
  const std::string ssh = (server.home() / ".ssh").string();
  return base::run({.arguments = {"sftp", "-q", "-b", "-", "-i", ssh + "/id_ed25519", "-o",
                                  "UserKnownHostsFile=" + ssh + "/known_hosts", "-o", "BatchMode=yes", "-o",
                                  "IdentitiesOnly=yes", "-P", std::to_string(port), server.user() + "@127.0.0.1"},
                    .pass_descriptors = {},
                    .input = line + "\n"},
                   base::Milliseconds(30'000));
}

class SshServerTest : public testing::TestWithParam<SftpService> {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "program:sshd", "program:sftp"); }
};

TEST_P(SshServerTest, ServesItsFolder) {
  SshServer server({.service = GetParam(), .configuration = {}});
  base::write_durably(server.files() / "seen", base::as_bytes("x"), 0644);
  const std::string below = server.url().substr(server.url().find('/', 8));
  const base::Outcome outcome = sftp(server, server.port(), "ls " + below);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  EXPECT_NE(outcome.output.find("seen"), std::string::npos) << outcome.output;
  server.kill();
  EXPECT_NE(sftp(server, server.port(), "ls /").exit_code, 0);
  server.start();
  EXPECT_EQ(sftp(server, server.port(), "ls /").exit_code, 0);
}

INSTANTIATE_TEST_SUITE_P(All, SshServerTest,
                         testing::Values(SftpService::internal, SftpService::program, SftpService::bare,
                                         SftpService::chroot),
                         testing::PrintToStringParamName());

TEST(TcpProxyTest, PassesOnDelaysAndRefuses) {
  ICECORE_NEEDS("root", "program:sshd", "program:sftp");
  const SshServer server;
  TcpProxy proxy(server.port());
  server.trust(proxy.port());
  EXPECT_EQ(sftp(server, proxy.port(), "ls /").exit_code, 0);
  proxy.set_latency(base::Milliseconds(50));
  const base::Stopwatch watch;
  EXPECT_EQ(sftp(server, proxy.port(), "ls /").exit_code, 0);
  EXPECT_GE(watch.elapsed(), base::Milliseconds(500));  // a handshake and a listing are more than five round trips
  proxy.set_refuse(true);
  EXPECT_NE(sftp(server, proxy.port(), "ls /").exit_code, 0);
}

}  // namespace
}  // namespace icecore::rig
