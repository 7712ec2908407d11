// SPDX-License-Identifier: Apache-2.0
// Reading what was listed, while somebody else may remove it.
#pragma once

#include <optional>
#include <string>

#include "storage/storage.hpp"

namespace icecore::storage {

// The whole object, or nothing when it is not there. Faults as Storage::get().
std::optional<base::Bytes> get_if_there(Storage& storage, const std::string& name, std::uint64_t size_max);

}  // namespace icecore::storage
