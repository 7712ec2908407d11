// SPDX-License-Identifier: Apache-2.0
// A guest that runs and writes all the while, backed up to an sshd by way of a proxy: the account there has SFTP and
// nothing else. What a fault between the two may never cost is asked here once.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "rig/guest.hpp"
#include "rig/ssh_server.hpp"
#include "rig/tcp_proxy.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {

class RemoteGuest {
 public:
  // Boots it, with `noise_mib` MiB on its disk that do not compress. The repository is not made yet.
  explicit RemoteGuest(unsigned noise_mib);

  rig::SshServer server;
  rig::TcpProxy proxy;
  ProtectedDomain subject;
  rig::Guest guest;

  // The repository as the server's host sees it.
  std::filesystem::path repository() const { return server.files() / "repository"; }
  const std::string& name() const { return subject.domain.name(); }
  // More of it, in a file of its own.
  void write_noise(unsigned mib);

  // Begins `icecore backup` and leaves it stopped at the first of these failpoints, after the snapshot; what the disk
  // was then is instant().
  rig::IcecoreRun& begin_backup(const std::string& failpoint, const std::vector<std::string>& more = {});
  const std::string& instant() const { return instant_; }
  // Lets it go on to its end, whatever that is.
  rig::IcecoreOutcome end_backup();
  // Lets it go on, and returns when it has sent half a MiB more, at a rate that leaves a middle to break in.
  void go_on_into_the_middle();

  // Returns when the guest writes to its own disk and the disk has no job; fails the test when that takes a minute.
  void wait_on_base();
  // The guest is at rest and has lost nothing it wrote; a fresh machine with URL and key finds the repository whole,
  // and this disk in its newest point. Ends what the guest writes, and forgets all state and staging.
  void expect_nothing_lost(const std::string& disk);

 private:
  std::optional<rig::IcecoreRun> backup_;
  std::string instant_;
  unsigned files_ = 0;
};

}  // namespace icecore::system_test
