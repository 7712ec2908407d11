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

// Whether a guest whose memory was saved under `live_xml` can go on as `domain_xml` says: it has seen its machine and
// its CPU, and goes on with nothing less. `other_host`: the memory was saved elsewhere.
std::vector<Finding> check_resume(Connection& connection, const std::string& live_xml, const std::string& domain_xml,
                                  bool other_host);

}  // namespace icecore::hypervisor
