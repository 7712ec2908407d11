// SPDX-License-Identifier: Apache-2.0
// Where the volumes of storage pools lie. A <disk type='volume'> names its image by pool and volume; everything that
// compares or reads images goes by paths.
#pragma once

#include "hypervisor/connection.hpp"
#include "hypervisor/domain_model.hpp"

namespace icecore::hypervisor {

// Fills in the path of each volume in the model: active images, those below them, targets of block jobs. One that has
// no path (its pool is gone, or keeps its volumes elsewhere than in the file system) gets `unresolved` instead. A pool
// that is not started has paths too: a domain may still be running on them. Throws what libvirt fails with otherwise,
// such as Fault::unavailable.
void resolve_volumes(Connection& connection, DomainModel& model);

}  // namespace icecore::hypervisor
