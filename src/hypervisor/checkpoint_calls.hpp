// SPDX-License-Identifier: Apache-2.0
// What the helper process does with libvirt's checkpoints. Each returns below zero when libvirt refused.
#pragma once

#include <string>

struct _virDomain;

namespace icecore::hypervisor {

// Makes the checkpoint, and its bitmaps; libvirt then forgets it and the bitmaps stay.
int create_bitmap(_virDomain* domain, const std::string& name, const std::string& xml);
// Tells libvirt of the checkpoint again and has it deleted, and its bitmaps. On failure libvirt may still know it.
int discard_bitmap(_virDomain* domain, const std::string& name, const std::string& xml);
int forget_checkpoints(_virDomain* domain, const std::string& prefix);

}  // namespace icecore::hypervisor
