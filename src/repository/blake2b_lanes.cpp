// SPDX-License-Identifier: Apache-2.0
#include "repository/blake2b_lanes.hpp"

namespace icecore::repository {

Blake2bLanes blake2b_lanes() noexcept {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return {8, &blake2b_eight_lanes};
  if (__builtin_cpu_supports("avx2")) return {4, &blake2b_four_lanes};
#endif
  return {};
}

}  // namespace icecore::repository
