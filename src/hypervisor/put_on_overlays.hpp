// SPDX-License-Identifier: Apache-2.0
// The definition of a shut-off domain with overlays that exist already. libvirt's own snapshot of such a domain would
// leave out what lies below them, and with it the secret of an encrypted base: the domain would not start.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "hypervisor/overlay_disk.hpp"

namespace icecore::hypervisor {

// `xml` with every disk of `disks` on its overlay; below an encrypted one stands its base. Fault::not_found without
// such a disk.
std::string put_on_overlays(std::string_view xml, std::span<const OverlayDisk> disks);

}  // namespace icecore::hypervisor
