// SPDX-License-Identifier: Apache-2.0
// BLAKE2b-256 (RFC 7693) of several inputs of one length at once, one in each lane of a vector register:
// four to six times the rate of libsodium, which hashes one input at a time. Results are the same; a test
// compares them. Where the processor has no such registers there are no lanes.
//
// This pair is only about registers. It knows no containers, because its kernels are compiled for
// processors that the rest of the program may not assume (see the kernels' own comment).
#pragma once

#include <cstddef>

namespace icecore::repository {

constexpr std::size_t k_lanes_max = 8;
// Input lengths must be multiples of that.
constexpr std::size_t k_blake2b_step = 128;

struct Blake2bLanes {
  // Hashes inputs[0..lanes) of `length` bytes (> 0) into 32 bytes each; keyed with 32 bytes unless null.
  using Kernel = void (*)(const unsigned char* key, const unsigned char* const* inputs, std::size_t length,
                          unsigned char* const* digests);
  std::size_t lanes = 0;
  Kernel hash = nullptr;
};

// The widest kernel this processor runs; lanes 0: none.
Blake2bLanes blake2b_lanes() noexcept;

// The kernels themselves, for tests; calling one the processor does not have is a fatal signal.
void blake2b_four_lanes(const unsigned char* key, const unsigned char* const* inputs, std::size_t length,
                        unsigned char* const* digests);
void blake2b_eight_lanes(const unsigned char* key, const unsigned char* const* inputs, std::size_t length,
                         unsigned char* const* digests);

}  // namespace icecore::repository
