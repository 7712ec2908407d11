// SPDX-License-Identifier: Apache-2.0
// A libvirtd of the test's own, to be stopped, restarted and killed while other tests use the system's. It lives in a
// mount namespace with its own state; its QEMUs outlive it as they would anywhere, and end with this object's Undo
// or their TestDomain's. Make it before the TestDomain that is given its uri(). With folders hidden from it, and
// programs run inside(), it is another host that shares kernel, network and installed packages with this one.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/process.hpp"
#include "rig/undo.hpp"

namespace icecore::rig {

class PrivateLibvirt {
 public:
  // Starts it. Needs the part "libvirt".
  PrivateLibvirt();
  PrivateLibvirt(const PrivateLibvirt&) = delete;
  PrivateLibvirt& operator=(const PrivateLibvirt&) = delete;

  // "qemu+unix:///system?socket=...": for virsh, icecore --connect and TestDomain.
  std::string uri() const;
  pid_t pid() const noexcept { return pid_; }

  // The command that runs in its namespace, where libvirt's folders are its own.
  std::vector<std::string> inside(std::vector<std::string> command) const;
  // A path of its namespace, for us to look at from outside.
  std::filesystem::path seen_from_outside(const std::filesystem::path& path) const;
  // Its namespace has an empty folder there from now on. What it makes there is gone with it.
  void hide(const std::filesystem::path& folder);

  // Every message it receives is a line in this file from now on, until it ends.
  std::filesystem::path log_messages();

  void start();    // answers when it returns
  void stop();     // SIGTERM; domains go on running
  void kill();     // SIGKILL, as a crash would
  void restart();  // stop(), start()

 private:
  bool answers() const;
  void end(int signal_number);

  Undo undo_;
  std::filesystem::path folder_;
  std::optional<base::Child> holder_;
  pid_t pid_ = -1;
};

}  // namespace icecore::rig
