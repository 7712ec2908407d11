// SPDX-License-Identifier: Apache-2.0
// Taking a layer out of a chain that was merged into the one below it.
#pragma once

#include <filesystem>
#include <string>

namespace icecore::disk {

// Makes the qcow2 overlay name `base` as what lies below it, durably; nothing else of it changes. Only right when
// everything of the layers between is in `base` already. Throws busy when a QEMU has the overlay open.
void rebase_onto(const std::filesystem::path& overlay, const std::filesystem::path& base,
                 const std::string& base_format);

}  // namespace icecore::disk
