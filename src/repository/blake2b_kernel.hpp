// SPDX-License-Identifier: Apache-2.0
// The BLAKE2b compression function over a vector type with one input a lane. Included by the kernels only,
// each compiled for its own instruction set: everything here is in an anonymous namespace and nothing of the
// standard library with a body is used, or the linker might pick a copy the processor cannot run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace {

constexpr std::size_t k_step = 128;
constexpr std::size_t k_digest_bytes = 32;
constexpr std::size_t k_key_bytes = 32;
constexpr int k_rounds = 12;

constexpr std::uint64_t k_initial[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
                                        0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

constexpr unsigned char k_sigma[k_rounds][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3}};

// Vector has: Register, k_lanes, add, exclusive_or, rotate<count>, broadcast, load_words (16 message words
// of all lanes from k_lanes pointers), store.
template <typename Vector>
struct Blake2b {
  using Register = typename Vector::Register;

  static inline void mix(Register& a, Register& b, Register& c, Register& d, Register x, Register y) {
    a = Vector::add(Vector::add(a, b), x);
    d = Vector::template rotate<32>(Vector::exclusive_or(d, a));
    c = Vector::add(c, d);
    b = Vector::template rotate<24>(Vector::exclusive_or(b, c));
    a = Vector::add(Vector::add(a, b), y);
    d = Vector::template rotate<16>(Vector::exclusive_or(d, a));
    c = Vector::add(c, d);
    b = Vector::template rotate<63>(Vector::exclusive_or(b, c));
  }

  // A template, so that the message words are picked when compiling and not when running.
  template <int number>
  static inline void rounds(Register (&v)[16], const Register (&m)[16]) {
    if constexpr (number < k_rounds) {
      constexpr const unsigned char(&s)[16] = k_sigma[number];
      mix(v[0], v[4], v[8], v[12], m[s[0]], m[s[1]]);
      mix(v[1], v[5], v[9], v[13], m[s[2]], m[s[3]]);
      mix(v[2], v[6], v[10], v[14], m[s[4]], m[s[5]]);
      mix(v[3], v[7], v[11], v[15], m[s[6]], m[s[7]]);
      mix(v[0], v[5], v[10], v[15], m[s[8]], m[s[9]]);
      mix(v[1], v[6], v[11], v[12], m[s[10]], m[s[11]]);
      mix(v[2], v[7], v[8], v[13], m[s[12]], m[s[13]]);
      mix(v[3], v[4], v[9], v[14], m[s[14]], m[s[15]]);
      rounds<number + 1>(v, m);
    }
  }

  static inline void compress(Register (&h)[8], const unsigned char* const* inputs, std::size_t at,
                              std::uint64_t counted, bool last) {
    Register m[16];
    Vector::load_words(inputs, at, m);
    Register v[16];
    for (int i = 0; i < 8; ++i) v[i] = h[i];
    for (int i = 0; i < 8; ++i) v[8 + i] = Vector::broadcast(k_initial[i]);
    v[12] = Vector::exclusive_or(v[12], Vector::broadcast(counted));
    if (last) v[14] = Vector::exclusive_or(v[14], Vector::broadcast(~std::uint64_t{0}));
    rounds<0>(v, m);
    for (int i = 0; i < 8; ++i) h[i] = Vector::exclusive_or(h[i], Vector::exclusive_or(v[i], v[8 + i]));
  }

  // A keyed hash begins with the key, filled up with zeroes to a whole step.
  static inline void start(Register (&h)[8], const unsigned char* key) {
    for (int i = 0; i < 8; ++i) h[i] = Vector::broadcast(k_initial[i]);
    // Parameter block: digest length, key length, fan-out 1, depth 1.
    const std::uint64_t key_bytes = key == nullptr ? 0 : k_key_bytes;
    h[0] = Vector::exclusive_or(h[0], Vector::broadcast(0x01010000 ^ (key_bytes << 8) ^ k_digest_bytes));
    if (key == nullptr) return;
    unsigned char step[k_step] = {};
    std::memcpy(step, key, k_key_bytes);
    const unsigned char* inputs[Vector::k_lanes];
    for (std::size_t lane = 0; lane < Vector::k_lanes; ++lane) inputs[lane] = step;
    compress(h, inputs, 0, k_step, false);
    explicit_bzero(step, sizeof(step));
  }

  static void hash(const unsigned char* key, const unsigned char* const* inputs, std::size_t length,
                   unsigned char* const* digests) {
    Register h[8];
    start(h, key);
    const std::uint64_t counted = key == nullptr ? k_step : 2 * k_step;
    for (std::size_t at = 0; at < length; at += k_step) compress(h, inputs, at, at + counted, at + k_step == length);
    std::uint64_t words[4][Vector::k_lanes];
    for (int i = 0; i < 4; ++i) Vector::store(words[i], h[i]);
    for (std::size_t lane = 0; lane < Vector::k_lanes; ++lane) {
      for (int i = 0; i < 4; ++i) std::memcpy(digests[lane] + 8 * i, &words[i][lane], 8);
    }
  }
};

}  // namespace
