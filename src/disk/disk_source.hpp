// SPDX-License-Identifier: Apache-2.0
// Reads what a guest sees of a frozen disk: data only, holes and zeros are never read. Two ways behind one
// face: `direct` preads the files where QEMU's map says bytes lie plain (a tenth of the CPU), `nbd` asks a
// qemu-nbd child for everything (compressed clusters, external data files, remote servers).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "base/bytes.hpp"
#include "disk/extent.hpp"
#include "flow/buffer_pool.hpp"
#include "flow/closable.hpp"

namespace icecore::disk {

enum class ReadStrategy { automatic, direct, nbd };

struct SourceOptions {
  std::filesystem::path image;  // the top layer to read; its backing files belong to it
  std::string format;           // of that layer
  std::string nbd_uri;          // read this server instead of an image
  ReadStrategy strategy = ReadStrategy::automatic;
  std::size_t block_size = 64 * base::k_kib;  // power of two, 32 KiB to 2 MiB
  std::size_t chunks_max = 16;                // 2 MiB each: handed out and in flight together
};

// A window of 2 MiB of the disk, aligned to 2 MiB, less at the disk's end. Only the blocks in data_mask
// are defined; the others are zero on the disk and garbage here.
struct Chunk {
  std::uint64_t index = 0;   // 0, 1, 2, ... in ascending order of offset
  std::uint64_t offset = 0;  // bytes into the disk
  std::size_t length = 0;
  std::size_t block_size = 0;
  std::uint64_t data_mask = 0;  // bit i: block i holds data (perhaps all zero, never a whole hole)
  flow::Buffer buffer;

  std::size_t block_count() const noexcept { return (length + block_size - 1) / block_size; }
  bool has_data(std::size_t block) const noexcept { return (data_mask >> block & 1) != 0; }
  // The block's bytes, fewer than block_size at the disk's end. Only for blocks with data.
  base::ByteView block(std::size_t block) const noexcept;
  std::uint64_t data_bytes() const noexcept;
};

// One pass at a time: start(), then next() until nothing comes; then start() may follow again. Children die
// with the thread that made them: who calls open() must outlive the source, who calls start() the pass.
class DiskSource : public flow::Closable {
 public:
  // Throws not_found, denied, busy, conflict, usage (encrypted), or unavailable, naming the image.
  static std::unique_ptr<DiskSource> open(const SourceOptions& options);

  std::uint64_t size() const noexcept { return size_; }

  // The data extents of the disk in order; separate from any pass.
  virtual std::unique_ptr<ExtentStream> extents() = 0;
  // Bytes of data in the `wanted` ranges (all when empty), as a pass over them would read: for progress.
  std::uint64_t data_bytes(std::span<const Extent> wanted = {}, const std::stop_token& stop = {});

  // Begins a pass over the `wanted` ranges (ascending, not overlapping); empty: the whole disk.
  virtual void start(std::span<const Extent> wanted = {}) = 0;
  // The next chunk; nothing at the end or after abandon(). Any number of threads: each reads its own chunk,
  // which is then warm in that core's cache. Waits while chunks_max buffers are out. Wanted blocks that
  // never come are zero. Throws what went wrong, naming image and offset; the pass is then over.
  virtual std::optional<Chunk> next(const std::stop_token& stop) = 0;
  // start() and next() in one thread.
  void read(std::span<const Extent> wanted, const std::function<void(Chunk)>& deliver, const std::stop_token& stop);

  // Ends a pass from outside: threads waiting in next() get nothing. The source is then used up.
  void abandon() noexcept override { pool_.abandon(); }

 protected:
  DiskSource(std::uint64_t size, const SourceOptions& options);

  std::uint64_t size_;
  std::size_t block_size_;
  flow::BufferPool pool_;
};

}  // namespace icecore::disk
