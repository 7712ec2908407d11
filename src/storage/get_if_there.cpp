// SPDX-License-Identifier: Apache-2.0
#include "storage/get_if_there.hpp"

#include "base/error.hpp"

namespace icecore::storage {

std::optional<base::Bytes> get_if_there(Storage& storage, const std::string& name, std::uint64_t size_max) {
  try {
    return storage.get(name, size_max);
  } catch (const base::Error& error) {
    if (error.fault() != base::Fault::not_found) throw;
    return std::nullopt;
  }
}

}  // namespace icecore::storage
