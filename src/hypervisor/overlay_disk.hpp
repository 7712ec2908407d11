// SPDX-License-Identifier: Apache-2.0
// One disk with an overlay of ours on it, and where the domain's XML says the disk stands.
#pragma once

#include <string>
#include <string_view>

#include "hypervisor/domain_model.hpp"

namespace icecore::hypervisor {

struct OverlayDisk {
  std::string target;        // vda
  std::string base_path;     // the image that is active before the snapshot and after the commit
  std::string overlay_path;  // ours, qcow2, beside the base
  // image_definition() of the persistent XML as it was; empty: not known, or there is none.
  std::string definition = {};
  // The <encryption> element the overlay gets; empty: QEMU does not encrypt the disk.
  std::string encryption = {};
};

enum class DiskPlace {
  on_base,     // the base is the active image and the overlay is nowhere in the chain
  on_overlay,  // the overlay is active, the base directly below it
  committing,  // a commit of the overlay into the base is running, or ending after its pivot
  elsewhere,   // anything else: disk gone, other images, another job
};
std::string_view to_string(DiskPlace place) noexcept;

// For a model from persistent XML, which rarely has the chain, an active overlay counts as on_overlay.
DiskPlace place_of(const DomainModel& model, const OverlayDisk& disk);

// "vda is on '/x/a.qcow2' over '/x/b.qcow2', ...": for errors about a disk that is elsewhere.
std::string describe_place(const DomainModel& model, std::string_view target);

// True when the disk's chain (active image, those below, a job's target) has the image in it.
bool chain_has(const DiskModel& disk, std::string_view path) noexcept;

}  // namespace icecore::hypervisor
