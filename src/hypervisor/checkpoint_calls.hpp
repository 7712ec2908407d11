// SPDX-License-Identifier: Apache-2.0
// What the helper process does with libvirt's checkpoints. Each returns why libvirt refused; nothing: it is done.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hypervisor/libvirt_error.hpp"

struct _virDomain;

namespace icecore::hypervisor {

// Makes the checkpoint, and its bitmaps; libvirt then forgets it and the bitmaps stay.
std::optional<LibvirtError> create_bitmap(_virDomain* domain, const std::string& name, const std::string& xml);
// Tells libvirt of the checkpoint again and has it deleted, and its bitmaps. On failure libvirt may still know it.
std::optional<LibvirtError> discard_bitmap(_virDomain* domain, const std::string& name, const std::string& xml);
std::optional<LibvirtError> forget_checkpoints(_virDomain* domain, const std::string& prefix);

// The names of those libvirt knows; nothing when it refused.
std::optional<std::vector<std::string>> list_checkpoints(_virDomain* domain);

}  // namespace icecore::hypervisor
