// SPDX-License-Identifier: Apache-2.0
// Moves the live blocks of packs to new ones. A frame whose blocks are all live is copied as it is, not compressed
// again; of others the live blocks make new frames. Each block is compared with its name on the way: damage is
// never copied.
#pragma once

#include <functional>

#include "maintenance/pack_sink.hpp"
#include "repository/compression.hpp"
#include "repository/frame_builder.hpp"

namespace icecore::maintenance {

// The blocks of one frame that can be read and are what their names say: true for each of these.
std::vector<bool> prove_blocks(const repository::KeyRing& keys, const repository::FrameEntry& frame,
                               base::ByteView decoded);

class Repack {
 public:
  Repack(repository::Repository& repository, PackSink& sink);

  // `is_live(i)`: whether the pack's i-th block goes along. Fault::corrupt: one of those is damaged; what has
  // moved till then is only there twice.
  void move(const repository::PackEntry& pack, const std::function<bool(std::size_t)>& is_live);
  // The same, but leaves out what is damaged and returns how many blocks that are.
  std::size_t salvage(const repository::PackEntry& pack);
  // Hands the last blocks to the sink.
  void finish();

 private:
  struct Wanted {
    std::vector<bool> blocks;
    bool all = true;
    bool any = false;
  };
  void move_frame(const repository::PackEntry& pack, const repository::FrameEntry& frame, const Wanted& wanted);
  std::size_t salvage_frame(const repository::PackEntry& pack, const repository::FrameEntry& frame);
  void hand_on(const repository::PackEntry& pack, const repository::FrameEntry& frame, base::ByteView stored,
               base::ByteView decoded, const Wanted& wanted);
  base::Bytes fetch(const repository::PackEntry& pack, const repository::FrameEntry& frame);
  base::Buffer decode(const repository::PackEntry& pack, const repository::FrameEntry& frame, base::ByteView stored);

  repository::Repository& repository_;
  PackSink& sink_;
  repository::Decompressor decompressor_;
  repository::FrameBuilder data_;
  repository::FrameBuilder tree_;
};

}  // namespace icecore::maintenance
