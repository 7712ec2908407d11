// SPDX-License-Identifier: Apache-2.0
// What a full-state snapshot needs of a running domain, by its XML: libvirt saves memory as for a migration, and
// refuses devices that cannot be migrated only after it has begun.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace icecore::hypervisor {

struct FullStateNeeds {
  std::vector<std::string> blockers;  // why its memory cannot be saved, each for a person to read; empty: it can
  std::uint64_t memory_bytes = 0;     // at most, but for what the guest writes again while it is saved
};

// Of the XML of the domain as it runs.
FullStateNeeds full_state_needs(std::string_view live_xml);

}  // namespace icecore::hypervisor
