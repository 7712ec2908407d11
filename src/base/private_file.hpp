// SPDX-License-Identifier: Apache-2.0
// Files that hold a secret: a key, a passphrase, a password. Nobody but their owner may be able to open them.
#pragma once

#include <filesystem>

#include "base/bytes.hpp"

namespace icecore::base {

// Looks at the very file that is read: the name may mean another one a moment later. Fault::denied, with the chmod that
// helps; `what` ("key file") names it.
void refuse_open_to_others(int fd, const std::filesystem::path& path, std::string_view what);

// The whole file, looked at so. Faults as of read_file().
Bytes read_private_file(const std::filesystem::path& path, std::uint64_t size_max, std::string_view what);

}  // namespace icecore::base
