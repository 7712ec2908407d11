// SPDX-License-Identifier: Apache-2.0
// What a restore is refused for before it looks at any place: options that do not go together, a point with losses, a
// host that cannot run the domain.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hypervisor/compatibility.hpp"
#include "job/restore.hpp"
#include "repository/damage_mark.hpp"

namespace icecore::job {

// Fault::usage.
void require_sound_options(const RestoreOptions& options);

// The point's losses, which somebody has to accept: else Fault::corrupt.
std::optional<repository::DamageMark> accepted_damage(repository::Repository& repository,
                                                      const repository::Manifest& manifest,
                                                      const RestoreOptions& options);
// The same, for people.
std::vector<std::string> damage_notes(const repository::DamageMark& damage, std::uint64_t block_bytes);

// Fault::conflict when one of them keeps the domain from starting.
void require_compatible(const std::vector<hypervisor::Finding>& findings);

}  // namespace icecore::job
