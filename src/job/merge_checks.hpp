// SPDX-License-Identifier: Apache-2.0
// What is asked before an overlay is merged into its base, whichever of our ways it goes.
#pragma once

#include <filesystem>
#include <string>

#include "hypervisor/domain.hpp"

namespace icecore::job {

// An overlay, and what it is merged into.
struct MergePair {
  std::string target;
  std::filesystem::path overlay;
  std::filesystem::path base;
  std::string base_format;
};

// Fault::conflict when the base is a device smaller than its overlay: it cannot be grown from here, and a commit that
// fails after it has begun leaves no frozen point behind.
void expect_room_in_device(const MergePair& pair);

// Fault::conflict when the domain was saved (virsh managedsave) meanwhile: the image names the overlays, and would not
// start without them.
void refuse_saved_on_overlays(hypervisor::Domain& domain);

}  // namespace icecore::job
