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
  bool emulated = false;              // by QEMU alone, without KVM
};

// Of the XML of the domain as it runs.
FullStateNeeds full_state_needs(std::string_view live_xml);

// Of a guest that it emulates QEMU before 9.0 misses some of what is written while the memory is saved: restored, such
// a guest may crash. ("physmem: Fix migration dirty bitmap coherency with TCG memory access", 2024.)
bool misses_writes(unsigned long qemu_version) noexcept;

}  // namespace icecore::hypervisor
