// SPDX-License-Identifier: Apache-2.0
// Eight lanes in 512-bit registers. Compiled with -mavx512f; see blake2b_kernel.hpp for what that forbids.
#include <immintrin.h>

#include "repository/blake2b_kernel.hpp"
#include "repository/blake2b_lanes.hpp"

namespace icecore::repository {

namespace {

struct Vector512 {
  using Register = __m512i;
  static constexpr std::size_t k_lanes = 8;

  static inline Register add(Register a, Register b) { return _mm512_add_epi64(a, b); }
  static inline Register exclusive_or(Register a, Register b) { return _mm512_xor_si512(a, b); }
  template <int count>
  static inline Register rotate(Register a) {
    return _mm512_ror_epi64(a, count);
  }
  static inline Register broadcast(std::uint64_t value) { return _mm512_set1_epi64(static_cast<long long>(value)); }
  static inline void store(std::uint64_t* to, Register a) { _mm512_storeu_si512(to, a); }

  // Row i of `from` holds eight words of input i; row i of `to` word i of all inputs.
  static inline void transpose(const Register (&from)[8], Register* to) {
    Register pairs[8];
    for (int i = 0; i < 4; ++i) {
      pairs[i] = _mm512_unpacklo_epi64(from[2 * i], from[2 * i + 1]);
      pairs[4 + i] = _mm512_unpackhi_epi64(from[2 * i], from[2 * i + 1]);
    }
    for (int odd = 0; odd < 2; ++odd) {
      const Register* p = pairs + 4 * odd;
      const Register low_even = _mm512_shuffle_i64x2(p[0], p[1], 0x88);
      const Register low_odd = _mm512_shuffle_i64x2(p[0], p[1], 0xdd);
      const Register high_even = _mm512_shuffle_i64x2(p[2], p[3], 0x88);
      const Register high_odd = _mm512_shuffle_i64x2(p[2], p[3], 0xdd);
      to[odd] = _mm512_shuffle_i64x2(low_even, high_even, 0x88);
      to[4 + odd] = _mm512_shuffle_i64x2(low_even, high_even, 0xdd);
      to[2 + odd] = _mm512_shuffle_i64x2(low_odd, high_odd, 0x88);
      to[6 + odd] = _mm512_shuffle_i64x2(low_odd, high_odd, 0xdd);
    }
  }

  static inline void load_words(const unsigned char* const* inputs, std::size_t at, Register (&m)[16]) {
    for (int half = 0; half < 2; ++half) {
      Register rows[8];
      for (int lane = 0; lane < 8; ++lane) rows[lane] = _mm512_loadu_si512(inputs[lane] + at + 64 * half);
      transpose(rows, m + 8 * half);
    }
  }
};

}  // namespace

void blake2b_eight_lanes(const unsigned char* key, const unsigned char* const* inputs, std::size_t length,
                         unsigned char* const* digests) {
  Blake2b<Vector512>::hash(key, inputs, length, digests);
}

}  // namespace icecore::repository
