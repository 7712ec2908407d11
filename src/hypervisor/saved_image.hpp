// SPDX-License-Identifier: Apache-2.0
// A domain started from a file of saved memory.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "hypervisor/domain.hpp"
#include "hypervisor/internal_command.hpp"

namespace icecore::hypervisor {

// The XML in a save file, whose hardware must stay what it was, with what may differ on another host taken from the XML
// that is defined: where disks lie (by target), what cards are plugged into (by MAC), the emulator, the firmware's
// variables, and what it booted from.
std::string adapt_saved_xml(std::string_view saved_xml, std::string_view defined_xml);

enum class RunState { as_saved, running, paused };

// Starts the domain, which is defined and shut off, where the file's memory left it. Fault::busy at the deadline: then
// libvirt may still be at it; usage when libvirt finds other hardware than the memory was made with.
void start_from_memory(Domain& domain, const std::string& file, const std::string& xml, RunState state,
                       base::Milliseconds deadline, const HelperProgram& helper = {});

}  // namespace icecore::hypervisor
