// SPDX-License-Identifier: Apache-2.0
// What is asked before an overlay is merged into its base, whichever of our ways it goes.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/passphrase.hpp"
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

// Fault::conflict when the domain was saved (virsh managedsave, or virsh save to a file) on its overlays: what was
// saved names them, and would not start without them. `images` for the message: "overlays". `ran_on_them` is asked when
// it was saved to a file, which may have been before they were there; that it was is forgotten with libvirt's daemon.
void refuse_saved_on(hypervisor::Domain& domain, std::string_view images, const std::function<bool()>& ran_on_them);

// Fault::conflict when somebody made internal snapshots while the domain was on the overlay: they lie in it, and would
// go with it.
void refuse_internal_snapshots(const MergePair& pair, const std::string& domain);

// Fault::conflict unless the overlay of a shut-off domain shows what its base does: for one that was merged or was
// about to be, where nobody knows which of the two was used since. `key` opens both where QEMU encrypts them.
void require_merged(const MergePair& pair, const std::string& domain, const std::optional<base::Passphrase>& key,
                    std::stop_token stop);

}  // namespace icecore::job
