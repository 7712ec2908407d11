// SPDX-License-Identifier: Apache-2.0
// An overlay made before QEMU is given it. libvirt makes its own during the snapshot call, while the guest is frozen:
// for a disk that QEMU encrypts in the clear, or in seconds.
#pragma once

#include <filesystem>
#include <stop_token>

#include "base/passphrase.hpp"
#include "disk/image.hpp"

namespace icecore::disk {

// Makes the empty qcow2 overlay `path` over `base`, laid out as that is, without reading it; whole or not at all,
// durable, for its owner alone. With `key` what is written to it is encrypted (LUKS). That takes QEMU seconds, but does
// not make opening it slow. Throws conflict when the name is taken, denied, no_space, cancelled on stop.
void create_overlay(const std::filesystem::path& path, const ImageInfo& base, const base::Passphrase* key,
                    const std::stop_token& stop = {});

// What it is called until it is whole; a killed create_overlay() may leave it.
std::filesystem::path unfinished_overlay(const std::filesystem::path& path);

}  // namespace icecore::disk
