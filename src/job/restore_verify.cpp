// SPDX-License-Identifier: Apache-2.0
#include "job/restore_verify.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <thread>

#include "base/error.hpp"
#include "base/guarded.hpp"
#include "disk/disk_source.hpp"
#include "flow/byte_queue.hpp"
#include "flow/stage_group.hpp"
#include "repository/block_reader.hpp"
#include "repository/image_tree_reader.hpp"

namespace icecore::job {

using repository::BlockName;

namespace {

constexpr std::size_t k_names_queue_bytes = 4 * base::k_mib;

// A block that is not zero.
struct NamedBlock {
  std::uint64_t block = 0;
  BlockName name;
};

struct NamedChunk {
  std::uint64_t index = 0;
  std::vector<NamedBlock> blocks;
};

struct Shared {
  repository::Repository& repository;
  disk::DiskSource& source;
  std::uint64_t disk_size;
  flow::ByteQueue<NamedChunk> named{k_names_queue_bytes};
  base::Guarded<std::uint64_t> bytes_read{0U};
  const std::function<void(std::uint64_t)>& on_read;
};

// Of the last block only what belongs to the image, unless there is something behind it.
base::ByteView within_image(base::ByteView bytes, std::uint64_t offset, std::uint64_t disk_size) {
  if (offset >= disk_size || offset + bytes.size() <= disk_size) return bytes;
  const base::ByteView inside = bytes.first(static_cast<std::size_t>(disk_size - offset));
  return base::is_zero(bytes.subspan(inside.size())) ? inside : bytes;
}

NamedChunk name_blocks(const Shared& shared, const disk::Chunk& chunk) {
  NamedChunk named{.index = chunk.index};
  std::vector<base::ByteView> views;
  for (std::size_t block = 0; block < chunk.block_count(); ++block) {
    if (!chunk.has_data(block) || base::is_zero(chunk.block(block))) continue;
    const std::uint64_t offset = chunk.offset + block * chunk.block_size;
    views.push_back(within_image(chunk.block(block), offset, shared.disk_size));
    named.blocks.push_back({offset / chunk.block_size, {}});
  }
  std::vector<BlockName> names(views.size());
  shared.repository.keys().names_of(views, names);
  for (std::size_t i = 0; i < names.size(); ++i) named.blocks[i].name = names[i];
  return named;
}

void read_chunks(Shared& shared, const std::stop_token& stop) {
  while (const auto chunk = shared.source.next(stop)) {
    NamedChunk named = name_blocks(shared, *chunk);
    const std::size_t cost = sizeof(NamedChunk) + named.blocks.size() * sizeof(NamedBlock);
    shared.named.push(std::move(named), cost);
    shared.bytes_read.with([&](std::uint64_t& total) { shared.on_read(total += chunk->data_bytes()); });
  }
}

// The blocks of an image tree that are not zero, in order.
class ExpectedBlocks {
 public:
  ExpectedBlocks(repository::Repository& repository, const repository::ImageRoot& image,
                 const std::vector<repository::BlockRange>& lost)
      : reader_(repository), tree_(reader_, repository.config(), image, lost) {}

  std::optional<NamedBlock> next() {
    for (;; at_ = 0) {
      while (leaf_ && at_ < leaf_->names.size()) {
        const std::size_t at = at_++;
        if (!leaf_->names[at].is_zero()) return NamedBlock{leaf_->first_block + at, leaf_->names[at]};
      }
      leaf_ = tree_.next();
      if (!leaf_) return std::nullopt;
    }
  }

 private:
  repository::BlockReader reader_;
  repository::ImageTreeReader tree_;
  std::optional<repository::ImageTreeReader::Leaf> leaf_;
  std::size_t at_ = 0;
};

// Both sides name only what is not zero, so that they are equal when the disks are.
class Comparison {
 public:
  Comparison(ExpectedBlocks& expected, std::uint64_t block_bytes) : expected_(expected), block_bytes_(block_bytes) {}

  void add(const NamedBlock& found) {
    const std::optional<NamedBlock> wanted = expected_.next();
    if (wanted && wanted->block == found.block && wanted->name == found.name) return;
    fail_at(wanted ? std::min(wanted->block, found.block) : found.block);
  }
  void finish() {
    if (const auto missing = expected_.next()) fail_at(missing->block);
  }

 private:
  [[noreturn]] void fail_at(std::uint64_t block) const {
    base::Error error(base::Fault::corrupt, fmt::format("what was written reads back differently: {} bytes at byte {}",
                                                        block_bytes_, block * block_bytes_));
    throw error.add_hint("what it is on is not to be trusted: restore to another disk");
  }

  ExpectedBlocks& expected_;
  std::uint64_t block_bytes_;
};

// Chunks end in any order, the tree is in order.
void compare(Shared& shared, ExpectedBlocks& expected) {
  Comparison comparison(expected, shared.repository.config().block_bytes);
  std::map<std::uint64_t, NamedChunk> early;
  std::uint64_t next = 0;
  while (auto named = shared.named.pop()) {
    early.emplace(named->index, std::move(*named));
    for (auto at = early.begin(); at != early.end() && at->first == next; at = early.erase(at), ++next) {
      for (const NamedBlock& block : at->second.blocks) comparison.add(block);
    }
  }
  comparison.finish();
}

}  // namespace

void verify_image(repository::Repository& repository, const repository::ImageRoot& image,
                  const std::vector<repository::BlockRange>& lost, const std::filesystem::path& path,
                  const std::string& format, const std::function<void(std::uint64_t)>& on_read, std::stop_token stop) {
  const auto source =
      disk::DiskSource::open({.image = path, .format = format, .block_size = repository.config().block_bytes});
  Shared shared{.repository = repository, .source = *source, .disk_size = image.disk_size, .on_read = on_read};
  ExpectedBlocks expected(repository, image, lost);
  source->start();
  flow::StageGroup stages(std::move(stop));
  stages.watch(*source);
  stages.watch(shared.named);
  stages.run(
      "verify", std::max(1U, std::thread::hardware_concurrency()),
      [&](std::stop_token inner) { read_chunks(shared, inner); }, [&] { shared.named.close(); });
  stages.run("compare", 1, [&](std::stop_token) { compare(shared, expected); });
  stages.join();
}

}  // namespace icecore::job
