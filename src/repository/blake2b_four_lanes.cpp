// SPDX-License-Identifier: Apache-2.0
// Four lanes in 256-bit registers. Compiled with -mavx2; see blake2b_kernel.hpp for what that forbids.
#include <immintrin.h>

#include "repository/blake2b_kernel.hpp"
#include "repository/blake2b_lanes.hpp"

namespace icecore::repository {

namespace {

struct Vector256 {
  using Register = __m256i;
  static constexpr std::size_t k_lanes = 4;

  static inline Register add(Register a, Register b) { return _mm256_add_epi64(a, b); }
  static inline Register exclusive_or(Register a, Register b) { return _mm256_xor_si256(a, b); }
  template <int count>
  static inline Register rotate(Register a) {
    if constexpr (count == 32) return _mm256_shuffle_epi32(a, 0xb1);
    if constexpr (count == 24) return _mm256_shuffle_epi8(a, byte_rotation(3));
    if constexpr (count == 16) return _mm256_shuffle_epi8(a, byte_rotation(2));
    return _mm256_xor_si256(_mm256_srli_epi64(a, 63), _mm256_add_epi64(a, a));
  }
  static inline Register broadcast(std::uint64_t value) { return _mm256_set1_epi64x(static_cast<long long>(value)); }
  static inline void store(std::uint64_t* to, Register a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), a); }

  static inline void load_words(const unsigned char* const* inputs, std::size_t at, Register (&m)[16]) {
    for (int quarter = 0; quarter < 4; ++quarter) {
      Register rows[4];
      for (int lane = 0; lane < 4; ++lane) {
        rows[lane] = _mm256_loadu_si256(
            reinterpret_cast<const __m256i*>(inputs[lane] + at + 32 * static_cast<std::size_t>(quarter)));
      }
      const Register low01 = _mm256_unpacklo_epi64(rows[0], rows[1]);
      const Register high01 = _mm256_unpackhi_epi64(rows[0], rows[1]);
      const Register low23 = _mm256_unpacklo_epi64(rows[2], rows[3]);
      const Register high23 = _mm256_unpackhi_epi64(rows[2], rows[3]);
      m[4 * quarter] = _mm256_permute2x128_si256(low01, low23, 0x20);
      m[4 * quarter + 1] = _mm256_permute2x128_si256(high01, high23, 0x20);
      m[4 * quarter + 2] = _mm256_permute2x128_si256(low01, low23, 0x31);
      m[4 * quarter + 3] = _mm256_permute2x128_si256(high01, high23, 0x31);
    }
  }

 private:
  // The shuffle that turns each word right by that many bytes.
  static inline Register byte_rotation(int bytes) {
    const long long low = bytes == 2 ? 0x0100070605040302 : 0x0201000706050403;
    const long long high = low + 0x0808080808080808;
    return _mm256_set_epi64x(high, low, high, low);
  }
};

}  // namespace

void blake2b_four_lanes(const unsigned char* key, const unsigned char* const* inputs, std::size_t length,
                        unsigned char* const* digests) {
  Blake2b<Vector256>::hash(key, inputs, length, digests);
}

}  // namespace icecore::repository
