// SPDX-License-Identifier: Apache-2.0
// A libvirtd of the test's own, to be stopped, restarted and killed while other tests use the system's. It lives in a
// mount namespace with its own state; its QEMUs outlive it as they would anywhere, and end with this object's Undo
// or their TestDomain's. Make it before the TestDomain that is given its uri().
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>

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
