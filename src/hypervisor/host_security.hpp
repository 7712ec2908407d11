// SPDX-License-Identifier: Apache-2.0
// What on this host decides which files QEMU may open, as libvirt's capabilities tell it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string_view>

#include "hypervisor/connection.hpp"

namespace icecore::hypervisor {

struct FileOwner {
  uid_t user = 0;
  gid_t group = 0;
};

struct HostSecurity {
  bool apparmor = false;
  bool selinux = false;
  std::optional<FileOwner> qemu;  // whom QEMU runs as, by the DAC driver; none: as libvirt itself
};

HostSecurity parse_host_security(std::string_view capabilities_xml);
// Throws what libvirt fails with.
HostSecurity host_security(Connection& connection);

}  // namespace icecore::hypervisor
