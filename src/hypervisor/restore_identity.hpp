// SPDX-License-Identifier: Apache-2.0
// What makes a restored domain a second one beside the first, so that both can run at once: identifiers are made anew,
// and no file is left that both would write to. What the guest knows its hardware by (disk serials and WWNs, SMBIOS
// serials) stays: fstab, licences and boot order go by it.
#pragma once

#include <string>
#include <vector>

namespace icecore::hypervisor {

class XmlNode;

// New UUID (SMBIOS' too), VM generation id, MAC addresses and vsock address; host names of network devices go; files of
// serial ports and their logs get the domain's name, set before, at their end. `notices`: what a person must know.
void give_new_identity(const XmlNode& domain, std::vector<std::string>& notices);

}  // namespace icecore::hypervisor
