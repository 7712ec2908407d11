// SPDX-License-Identifier: Apache-2.0
// Leaves out the zeros of a write: in a fresh image they are there already, and writing them would allocate.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/bytes.hpp"

namespace icecore::disk {

// Calls write(offset, bytes) for the maximal runs of grains of the disk that are not all zero. Grains are
// aligned to `grain` on the disk; the first and last may be partial.
template <typename Write>
void for_each_nonzero_run(std::uint64_t offset, base::ByteView bytes, std::size_t grain, Write&& write) {
  std::size_t run_from = 0;
  std::size_t at = 0;
  while (at < bytes.size()) {
    const std::size_t to_boundary = grain - static_cast<std::size_t>((offset + at) % grain);
    const std::size_t length = std::min(to_boundary, bytes.size() - at);
    if (base::is_zero(bytes.subspan(at, length))) {
      if (run_from < at) write(offset + run_from, bytes.subspan(run_from, at - run_from));
      run_from = at + length;
    }
    at += length;
  }
  if (run_from < at) write(offset + run_from, bytes.subspan(run_from, at - run_from));
}

}  // namespace icecore::disk
