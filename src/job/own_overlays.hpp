// SPDX-License-Identifier: Apache-2.0
// Overlays that we make ourselves, before the freeze, where libvirt's own would not do.
#pragma once

#include "hypervisor/domain.hpp"
#include "job/prepare_backup.hpp"

namespace icecore::job {

// True for a domain with a disk that QEMU encrypts, and for one that is off and of which libvirt knows a checkpoint,
// whoever made it: it takes no snapshot of that ("cannot perform block operations while checkpoint exists"). All
// overlays of the plan are then made by make_overlays(), since libvirt makes all or none. Throws when libvirt fails.
bool needs_own_overlays(hypervisor::Domain& domain, const PreparedBackup& prepared);

// Makes them, empty and as their bases are owned; takes seconds for an encrypted one. What a failure leaves, journalled
// names all, return_to_bases() removes.
void make_overlays(hypervisor::Connection& connection, const PreparedBackup& prepared, const std::stop_token& stop);

}  // namespace icecore::job
