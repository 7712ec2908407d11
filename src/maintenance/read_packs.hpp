// SPDX-License-Identifier: Apache-2.0
// Reads packs whole and proves every byte: the id, the footer, the frames, the blocks' names.
#pragma once

#include <optional>

#include "maintenance/read_history.hpp"
#include "maintenance/survey.hpp"

namespace icecore::maintenance {

struct BadPack {
  repository::PackId id;
  std::string reason;
};

struct ReadResult {
  std::size_t packs = 0;
  std::uint64_t bytes = 0;
  std::vector<BadPack> bad;
  repository::BadBlocks bad_blocks;          // in packs whose footer can be read
  std::set<repository::PackId> bad_footers;  // packs whose footer cannot

  void add(ReadResult other);
};

struct ReadOptions {
  unsigned percent = 100;                 // of all bytes
  std::set<repository::PackId> suspects;  // read in any case
  unsigned threads = 0;                   // 0: as many as suit this host
};

// Reads the suspects and those of the packs given that were damaged when last read, then the others, those not read for
// longest first, until `percent` of all bytes have been read. Several threads read, each holding one pack at a time;
// what was read is in `history` at once. The watch is called on the calling thread.
ReadResult read_packs(repository::Repository& repository, const PackSizes& packs, const ReadOptions& options,
                      ReadHistory& history, const Watch& watch);

}  // namespace icecore::maintenance
