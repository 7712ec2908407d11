// SPDX-License-Identifier: Apache-2.0
#include "memory/prove.hpp"

#include <fcntl.h>

#include <algorithm>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "memory/record_encoder.hpp"

namespace icecore::memory {

namespace {

using base::Fault;

// The bytes of the rebuilt file from its beginning on.
class RebuiltStream {
 public:
  RebuiltStream(const SavedMemory& memory, const RecordEncoder& encoder, const std::stop_token& stop)
      : memory_(memory), encoder_(encoder), stop_(stop), piece_(encoder.beginning()), image_(k_step) {}

  std::size_t fill(base::ByteSpan out) {
    while (at_ == piece_.size()) {
      if (!next_piece()) return 0;
    }
    const std::size_t count = std::min(out.size(), piece_.size() - at_);
    std::copy_n(piece_.begin() + static_cast<std::ptrdiff_t>(at_), count, out.begin());
    at_ += count;
    return count;
  }

 private:
  static constexpr std::size_t k_step = base::k_mib;

  bool next_piece() {
    if (stop_.stop_requested()) base::fail(Fault::cancelled, "reading the memory was interrupted");
    piece_.clear();
    at_ = 0;
    const std::uint64_t image_bytes = memory_.state().image_bytes();
    if (offset_ < image_bytes) {
      const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(k_step, image_bytes - offset_));
      const base::ByteSpan contents = base::ByteSpan(image_).first(length);
      memory_.read(offset_, contents, k_page_bytes * 16);
      encoder_.encode(offset_, contents, piece_);
      offset_ += length;
      return true;
    }
    if (ended_) return false;
    ended_ = true;
    piece_ = encoder_.ending();
    return true;
  }

  const SavedMemory& memory_;
  const RecordEncoder& encoder_;
  const std::stop_token& stop_;
  base::Bytes piece_;
  std::size_t at_ = 0;
  base::Bytes image_;
  std::uint64_t offset_ = 0;
  bool ended_ = false;
};

// Each page of the state once, with a content that adds up to the state's checksum, and the rest where it belongs.
class Comparison {
 public:
  explicit Comparison(const MemoryState& state) : state_(state) {}

  void run(StreamReader& reader) {
    const RamStream stream = parse_ram_stream(
        reader, [&](const std::vector<RamBlock>& blocks) { compare_blocks(blocks); },
        [&](const RamPage& page) { take(page); });
    const RecordEncoder encoder(state_);
    std::uint64_t expected = 0;
    for (const MemoryBlock& block : state_.blocks) {
      expected += static_cast<std::uint64_t>(
          std::count_if(block.pages.begin(), block.pages.end(), [](auto kind) { return kind != PageKind::absent; }));
    }
    const bool same = pages_ == expected && sum_ == state_.checksum && stream.section == state_.section &&
                      stream.prefix_bytes == state_.prefix.size() &&
                      stream.tail_at + state_.tail.size() == encoder.file_bytes();
    if (!same) base::fail(Fault::corrupt, "the memory put together again is not what it was");
    for (std::size_t at = 0; at < state_.tail.size();) {
      const base::ByteView expected_bytes =
          base::ByteView(state_.tail).subspan(at, std::min<std::size_t>(state_.tail.size() - at, 64 * base::k_kib));
      const base::ByteView bytes = reader.raw(expected_bytes.size());
      if (!std::equal(bytes.begin(), bytes.end(), expected_bytes.begin()))
        base::fail(Fault::corrupt, "the devices' state is not what it was");
      at += bytes.size();
    }
    if (reader.drain() != encoder.file_bytes()) base::fail(Fault::corrupt, "the memory's file has a wrong length");
  }

 private:
  void compare_blocks(const std::vector<RamBlock>& blocks) const {
    const bool same = std::equal(blocks.begin(), blocks.end(), state_.blocks.begin(), state_.blocks.end(),
                                 [](const RamBlock& one, const MemoryBlock& other) { return one == other.ram; });
    if (!same) base::fail(Fault::corrupt, "the RAM blocks are not those there were");
  }

  void take(const RamPage& page) {
    ++pages_;
    const bool zero = page.content.empty();
    const PageKind kind = zero ? PageKind::zero : PageKind::content;
    if (state_.blocks[page.block].pages[page.number] != kind)
      base::fail(Fault::corrupt, "page {} of '{}' is of another kind", page.number, state_.blocks[page.block].ram.name);
    sum_ += share_of_checksum(page.block, page.number, checksum_of(page.content));
  }

  const MemoryState& state_;
  std::uint64_t pages_ = 0;
  std::uint64_t sum_ = 0;
};

}  // namespace

void prove(const SavedMemory& memory, const std::stop_token& stop) {
  const RecordEncoder encoder(memory.state());
  RebuiltStream rebuilt(memory, encoder, stop);
  StreamReader reader([&](base::ByteSpan out) { return rebuilt.fill(out); });
  Comparison(memory.state()).run(reader);
}

void verify_save_file(const std::filesystem::path& path, const MemoryState& state) {
  const base::Fd file = base::open_file(path, O_RDONLY);
  StreamReader reader = read_stream_of(file.get(), path.string());
  Comparison(state).run(reader);
}

}  // namespace icecore::memory
