// SPDX-License-Identifier: Apache-2.0
// Reads blocks back. Nothing leaves it that was not compared with its name: a wrong index, a damaged pack
// and a swapped frame all end here.
//
// Threads: one reader for each thread.
#pragma once

#include <exception>
#include <optional>
#include <span>
#include <vector>

#include "repository/compression.hpp"
#include "repository/repository.hpp"

namespace icecore::repository {

// A block somebody wants out of a frame; offset and length from its BlockLocation.
struct WantedBlock {
  BlockName name;
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
};

class BlockReader {
 public:
  // `repository` outlives the reader. Looks blocks up in the index as it is: call refresh_index() first.
  explicit BlockReader(Repository& repository);

  std::optional<BlockLocation> locate(const BlockName& name) { return repository_.locate(name); }
  // The same, but a block that cannot be found even after rebuilding the index, nor in marked packs where that is
  // allowed, is Fault::corrupt.
  BlockLocation locate_or_fail(const BlockName& name);

  // The decoded frame, in which each wanted block lies at its offset and is what its name says; bytes
  // outside of them are unproved. A location that turns out wrong is looked up again in a rebuilt index;
  // after that Fault::corrupt names pack, frame and block.
  base::Buffer read_frame(const FrameLocation& frame, std::span<const WantedBlock> wanted);

  // One block. Frames read last are kept, so neighbours cost no second read. Not for the zero block.
  base::Bytes read_block(const BlockName& name);

 private:
  struct Decoded {
    FrameLocation location;
    base::Buffer bytes;
  };
  // Nothing, and the reason, when a wrong location may be the cause.
  std::optional<base::Buffer> try_frame(const FrameLocation& frame, std::span<const WantedBlock> wanted,
                                        std::exception_ptr& reason);
  bool holds(base::ByteView frame, const WantedBlock& wanted) const;
  base::Buffer read_again(const FrameLocation& frame, std::span<const WantedBlock> wanted,
                          const std::exception_ptr& reason);
  void check_blocks(const FrameLocation& frame, base::ByteView bytes, std::span<const WantedBlock> wanted) const;

  Repository& repository_;
  Decompressor decompressor_;
  std::vector<Decoded> recent_;
};

}  // namespace icecore::repository
