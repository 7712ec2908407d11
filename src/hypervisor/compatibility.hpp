// SPDX-License-Identifier: Apache-2.0
// Whether this host can run a domain that came from another: asked of libvirt and of the host before anything is
// written.
#pragma once

#include <string>
#include <vector>

#include "hypervisor/connection.hpp"

namespace icecore::hypervisor {

struct Finding {
  bool blocks = false;  // the domain cannot be started as things are; false: it can be, once somebody acted
  std::string what;
  std::string cure;  // the next command, or what to do
};

// Domain type, machine type, CPU, firmware, TPM, networks, bridges, host devices, shared folders, secrets, pools. What
// libvirt cannot tell is passed over. Throws when libvirt does not answer.
std::vector<Finding> check_compatibility(Connection& connection, const std::string& domain_xml);

}  // namespace icecore::hypervisor
