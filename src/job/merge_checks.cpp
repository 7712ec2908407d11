// SPDX-License-Identifier: Apache-2.0
#include "job/merge_checks.hpp"

#include "base/error.hpp"
#include "base/shell_word.hpp"
#include "disk/image.hpp"

namespace icecore::job {

using base::Fault;

void expect_room_in_device(const MergePair& pair) {
  if (pair.base_format != "raw" || !std::filesystem::is_block_file(pair.base) || !std::filesystem::exists(pair.overlay))
    return;
  const std::uint64_t device = disk::inspect_image(pair.base, pair.base_format).virtual_size;
  const std::uint64_t overlay = disk::inspect_image(pair.overlay, "qcow2").virtual_size;
  if (overlay <= device) return;
  base::Error error(Fault::conflict,
                    fmt::format("disk '{}' was resized to {} bytes on its overlay, but its device '{}' has {}",
                                pair.target, overlay, pair.base.string(), device));
  throw error.add_hint(
      fmt::format("make the device as large (an LVM volume: lvextend -L {}b {}), then: icecore recover", overlay,
                  base::shell_word(pair.base.string())));
}

void refuse_saved_on_overlays(hypervisor::Domain& domain) {
  if (!domain.has_managed_save()) return;
  const std::string name = base::shell_operand(domain.name());
  base::Error error(Fault::conflict, fmt::format("domain '{}' was saved on its overlays (managed save), so that they "
                                                 "cannot be merged before it runs again",
                                                 domain.name()));
  throw error.add_hint(fmt::format("virsh start {0}; icecore recover {0}", name));
}

}  // namespace icecore::job
