// SPDX-License-Identifier: Apache-2.0
// How long QEMU may let a guest stand still for the last of its memory when that is saved live, as when it is migrated:
// 300 ms unless somebody set another limit. QEMU stops the guest as soon as it reckons that the rest takes no longer,
// on a fast disk so almost at once and with much left. The limit stays as it is set until QEMU ends: who changes it
// puts it back. libvirt: virDomainMigrateGetMaxDowntime, virDomainMigrateSetMaxDowntime.
#pragma once

#include <optional>

#include "base/clock.hpp"
#include "hypervisor/domain.hpp"
#include "hypervisor/internal_command.hpp"

namespace icecore::hypervisor {

// While we save memory. What a guest writes in the meantime has to be written to the disk within that time, or the
// save goes on until the domain's own limit is given back to it.
inline constexpr base::Milliseconds k_save_downtime{50};

// The running domain's own limit, when it is longer than that. Nothing when it is not, or libvirt does not tell.
std::optional<base::Milliseconds> longer_downtime(Domain& domain, const HelperProgram& helper = {});

// Gives a domain that runs its own limit back; a failure is a warning that names the command to do it by hand.
void put_back_max_downtime(Domain& domain, base::Milliseconds limit, const HelperProgram& helper = {}) noexcept;

}  // namespace icecore::hypervisor
