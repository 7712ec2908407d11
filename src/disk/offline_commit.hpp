// SPDX-License-Identifier: Apache-2.0
// Merging an overlay into its base while no domain runs on it.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>

#include "base/clock.hpp"
#include "base/passphrase.hpp"

namespace icecore::disk {

// Copies what the qcow2 overlay holds into `base` (an image of base_format, below it in its chain) and
// leaves the overlay as it was, so a killed or repeated run does the same again. Both are synced before it
// returns. Throws busy when a domain has either open, conflict when `base` is not the overlay's backing file
// or the sizes differ, cancelled on stop; the overlay then still shows the guest's newest data.
// `key` opens both where QEMU encrypts them, else null; denied when it does not fit.
void commit_offline(const std::filesystem::path& overlay, const std::filesystem::path& base,
                    const std::string& base_format, base::Milliseconds deadline, std::stop_token stop = {},
                    const base::Passphrase* key = nullptr);

// Whether the overlay shows the guest what its base does, so that a commit of it changes nothing. Nobody is to have
// either open. `key` and faults as commit_offline().
bool shows_its_base(const std::filesystem::path& overlay, const std::filesystem::path& base,
                    const std::string& base_format, std::stop_token stop = {}, const base::Passphrase* key = nullptr);

// Whether anything was ever written to the qcow2 overlay, be it merged since or not. A domain may run on `base`, none
// on the overlay. `key` and faults as commit_offline().
bool was_written_to(const std::filesystem::path& overlay, const std::filesystem::path& base,
                    const std::string& base_format, std::stop_token stop = {}, const base::Passphrase* key = nullptr);

}  // namespace icecore::disk
