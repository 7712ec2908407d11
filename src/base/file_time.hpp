// SPDX-License-Identifier: Apache-2.0
// The times the file system keeps of a file.
#pragma once

#include <cstdint>
#include <ctime>

namespace icecore::base {

// In ns since 1970.
inline std::int64_t to_ns(const timespec& time) { return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

}  // namespace icecore::base
