// SPDX-License-Identifier: Apache-2.0
// A guest that QEMU paused because there was no room for what it wrote goes on once we have given room back.
#pragma once

#include <string>

#include "hypervisor/connection.hpp"
#include "job/progress.hpp"

namespace icecore::job {

// After an overlay or layer was removed. Where nobody is paused for that, or the domain is gone, nothing is done; what
// fails is logged, since the disks are in order.
void resume_after_io_error(hypervisor::Connection& connection, const std::string& domain_uuid, Progress& progress);

}  // namespace icecore::job
