// SPDX-License-Identifier: Apache-2.0
#include "job/recheck.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <random>

#include "base/error.hpp"
#include "repository/image_tree_lookup.hpp"

namespace icecore::job {

using repository::BlockName;
using repository::ImageTreeLookup;

namespace {

constexpr std::uint64_t k_blocks_min = 16;
constexpr std::uint64_t k_blocks_max = 256;  // 16 MiB of 64 KiB blocks
constexpr std::uint64_t k_per_hole = 8;      // of so many picks one is taken anywhere, hole or not

class Sample {
 public:
  Sample(repository::Repository& repository, const Increment& increment)
      : reader_(repository),
        lookup_(reader_, repository.config(), increment.base),
        changed_(increment.changed),
        block_bytes_(repository.config().block_bytes),
        fan_out_(repository.config().fan_out) {}

  void read_nodes() {
    for (const disk::Extent& extent : changed_) {
      const std::uint64_t last = (extent.end() - 1) / block_bytes_;
      for (std::uint64_t block = extent.offset / block_bytes_; block <= last; block = (block / fan_out_ + 1) * fan_out_)
        static_cast<void>(lookup_.at(block));
    }
  }

  // What is expected at each block picked.
  std::map<std::uint64_t, BlockName> pick(int per_mille) {
    pick_last();
    if (per_mille == 0 || lookup_.blocks() == 0) return std::move(picked_);
    constexpr std::uint64_t k_mille = 1000;
    const std::uint64_t share = lookup_.blocks() * static_cast<std::uint64_t>(per_mille) / k_mille;
    const std::uint64_t count = std::clamp(share, k_blocks_min, k_blocks_max);
    pick_data(count - count / k_per_hole);
    pick_anywhere(count / k_per_hole);
    return std::move(picked_);
  }

 private:
  // The last unchanged one with data.
  void pick_last() {
    std::uint64_t end = lookup_.blocks();
    while (const auto block = lookup_.last_data_before(end)) {
      const disk::Extent* extent = extent_of(*block);
      if (extent == nullptr) {
        picked_[*block] = lookup_.at(*block);
        return;
      }
      end = extent->offset / block_bytes_;
    }
  }

  // Of so many leaves at most, so that few nodes have to be read.
  void pick_data(std::uint64_t count) {
    const std::vector<std::uint64_t> all = lookup_.data_leaves();
    std::vector<std::uint64_t> leaves;
    std::sample(all.begin(), all.end(), std::back_inserter(leaves), count, random_);
    std::vector<std::uint64_t> blocks;
    for (const std::uint64_t leaf : leaves) {
      for (std::uint64_t block = leaf * fan_out_; block < std::min((leaf + 1) * fan_out_, lookup_.blocks()); ++block) {
        if (!is_changed(block) && !lookup_.at(block).is_zero()) blocks.push_back(block);
      }
    }
    std::vector<std::uint64_t> chosen;
    std::sample(blocks.begin(), blocks.end(), std::back_inserter(chosen), count, random_);
    for (const std::uint64_t block : chosen) picked_[block] = lookup_.at(block);
  }

  void pick_anywhere(std::uint64_t count) {
    std::uniform_int_distribution<std::uint64_t> any(0, lookup_.blocks() - 1);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t block = any(random_);
      if (!is_changed(block)) picked_[block] = lookup_.at(block);
    }
  }

  bool is_changed(std::uint64_t block) const { return extent_of(block) != nullptr; }
  const disk::Extent* extent_of(std::uint64_t block) const {
    const std::uint64_t offset = block * block_bytes_;
    const auto behind =
        std::upper_bound(changed_.begin(), changed_.end(), offset,
                         [](std::uint64_t at, const disk::Extent& extent) { return at < extent.offset; });
    if (behind == changed_.begin() || std::prev(behind)->end() <= offset) return nullptr;
    return &*std::prev(behind);
  }

  repository::BlockReader reader_;
  ImageTreeLookup lookup_;
  const std::vector<disk::Extent>& changed_;
  std::uint64_t block_bytes_;
  std::uint64_t fan_out_;
  std::mt19937_64 random_{std::random_device{}()};
  std::map<std::uint64_t, BlockName> picked_;
};

std::vector<disk::Extent> extents_of(const std::map<std::uint64_t, BlockName>& picked, std::uint64_t block_bytes,
                                     std::uint64_t disk_size) {
  std::vector<disk::Extent> extents;
  for (const auto& [block, name] : picked) {
    const std::uint64_t offset = block * block_bytes;
    extents.push_back({offset, std::min(block_bytes, disk_size - offset)});
  }
  return extents;
}

}  // namespace

Recheck recheck_unchanged(disk::DiskSource& source, repository::Repository& repository, const Increment& increment,
                          int per_mille, const std::stop_token& stop) {
  Sample sample(repository, increment);
  sample.read_nodes();
  std::map<std::uint64_t, BlockName> expected = sample.pick(per_mille);
  Recheck result{.blocks = expected.size()};
  if (expected.empty()) return result;
  const std::uint64_t block_bytes = repository.config().block_bytes;
  const auto compare = [&](std::uint64_t block, const BlockName& found) {
    const auto at = expected.find(block);
    if (at == expected.end()) return;
    if (at->second != found && result.mismatch.empty())
      result.mismatch = fmt::format("the {} bytes at {} are not what they were, and the bitmap does not say so",
                                    block_bytes, block * block_bytes);
    expected.erase(at);
  };
  const std::vector<disk::Extent> wanted = extents_of(expected, block_bytes, source.size());
  source.read(
      wanted,
      [&](const disk::Chunk& chunk) {
        result.bytes_read += chunk.data_bytes();
        for (std::size_t i = 0; i < chunk.block_count(); ++i) {
          if (!chunk.has_data(i)) continue;
          const base::ByteView block = chunk.block(i);
          compare(chunk.offset / chunk.block_size + i,
                  base::is_zero(block) ? BlockName{} : repository.keys().name_of(block));
        }
      },
      stop);
  while (!expected.empty()) compare(expected.begin()->first, {});  // those that never came are zero
  return result;
}

}  // namespace icecore::job
