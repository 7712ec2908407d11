// SPDX-License-Identifier: Apache-2.0
// The log a guest writes while it is backed up: fixed records, each carrying its number and a hash over the
// record before it, so that a lost, reordered or invented write shows. Used in the guest and by the tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace icecore::rig {

constexpr std::size_t k_chain_record_bytes = 512;  // a sector: the smallest unit a disk writes whole

// What a log says of itself. The guest's clock gives the longest pause between two records: a freeze shows.
struct ChainState {
  std::uint64_t records = 0;   // good records from the start of the log
  bool unbroken = true;        // false: the record after the last good one is damaged
  std::size_t tail_bytes = 0;  // bytes after the last whole record
  std::uint64_t hash = 0;      // of the last good record
  std::uint64_t time_ns = 0;   // its time
  std::uint64_t longest_pause_ns = 0;
};

inline std::uint64_t chain_hash(std::uint64_t before, const char* text, std::size_t size) {
  std::uint64_t hash = 0xcbf29ce484222325ULL ^ before;  // FNV-1a, seeded with the hash before
  for (std::size_t i = 0; i < size; ++i) hash = (hash ^ static_cast<unsigned char>(text[i])) * 0x100000001b3ULL;
  return hash;
}

// Writes record `number` after `before`: number, time and a filler in the clear, then the hash.
inline std::uint64_t chain_write(char* record, std::uint64_t number, std::uint64_t time_ns, std::uint64_t before) {
  constexpr std::size_t clear = k_chain_record_bytes - 18;
  std::memset(record, static_cast<int>('a' + number % 26), clear);
  const int used = std::snprintf(record, clear, "%016llx %016llx", static_cast<unsigned long long>(number),
                                 static_cast<unsigned long long>(time_ns));
  record[used] = ' ';
  const std::uint64_t hash = chain_hash(before, record, clear);
  char text[20];
  std::snprintf(text, sizeof text, " %016llx\n", static_cast<unsigned long long>(hash));
  std::memcpy(record + clear, text, 18);
  return hash;
}

// Takes the next whole record into the state. False: it does not follow, and the state stays at the last good one.
inline bool chain_take(ChainState& state, const char* record) {
  char expected[k_chain_record_bytes];
  const std::uint64_t time_ns = std::strtoull(record + 17, nullptr, 16);
  const std::uint64_t hash = chain_write(expected, state.records + 1, time_ns, state.hash);
  if (std::memcmp(expected, record, sizeof expected) != 0) {
    state.unbroken = false;
    return false;
  }
  if (state.records > 0 && time_ns > state.time_ns && time_ns - state.time_ns > state.longest_pause_ns) {
    state.longest_pause_ns = time_ns - state.time_ns;
  }
  state.records += 1;
  state.hash = hash;
  state.time_ns = time_ns;
  return true;
}

// Reads a whole log from its start.
inline ChainState chain_read(std::FILE* file) {
  ChainState state;
  char record[k_chain_record_bytes + 1] = {};
  while (state.unbroken) {
    const std::size_t got = std::fread(record, 1, k_chain_record_bytes, file);
    if (got < k_chain_record_bytes) {
      state.tail_bytes = got;
      break;
    }
    chain_take(state, record);
  }
  return state;
}

}  // namespace icecore::rig
