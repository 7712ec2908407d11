// SPDX-License-Identifier: Apache-2.0
#include "job/capture.hpp"

#include <limits>
#include <map>
#include <span>
#include <thread>

#include "base/guarded.hpp"
#include "flow/byte_queue.hpp"
#include "flow/stage_group.hpp"
#include "repository/frame_builder.hpp"

namespace icecore::job {

using repository::BlockName;
using repository::FrameBuilder;

namespace {

// A run of new blocks that long is sealed where it lies; shorter ones are copied together into one frame, so
// that scattered changes compress as well as whole windows.
constexpr std::size_t k_run_in_place_min = 24;
constexpr std::size_t k_names_queue_bytes = 4 * base::k_mib;

// The names of one chunk's blocks; a zero name for each block that is a hole or all zero.
struct NamedChunk {
  std::uint64_t index = 0;
  std::uint64_t first_block = 0;
  std::vector<BlockName> names;
};

struct Shared {
  disk::DiskSource& source;
  repository::BlockWriter& writer;
  flow::ByteQueue<NamedChunk> named{k_names_queue_bytes};
  base::Guarded<std::uint64_t> bytes_read{0U};
  const std::function<void(std::uint64_t)>& on_chunk;
};

// One worker's tools.
class ChunkStore {
 public:
  explicit ChunkStore(Shared& shared) : shared_(shared), builder_(shared.writer, repository::FrameKind::data) {}

  void store(const disk::Chunk& chunk) {
    NamedChunk named{chunk.index, chunk.offset / chunk.block_size, std::vector<BlockName>(chunk.block_count())};
    name_blocks(chunk, named.names);
    store_new_runs(chunk, named.names);
    const std::size_t cost = named.names.size() * sizeof(BlockName);
    shared_.named.push(std::move(named), cost);
    shared_.bytes_read.with([&](std::uint64_t& total) { shared_.on_chunk(total += chunk.data_bytes()); });
  }

  void finish() {
    if (auto frame = builder_.flush()) shared_.writer.add(std::move(*frame));
  }

 private:
  void name_blocks(const disk::Chunk& chunk, std::vector<BlockName>& names) {
    views_.clear();
    places_.clear();
    for (std::size_t block = 0; block < chunk.block_count(); ++block) {
      if (!chunk.has_data(block) || base::is_zero(chunk.block(block))) continue;
      views_.push_back(chunk.block(block));
      places_.push_back(block);
    }
    hashes_.resize(views_.size());
    shared_.writer.names_of(views_, hashes_);
    for (std::size_t i = 0; i < places_.size(); ++i) names[places_[i]] = hashes_[i];
  }

  void store_new_runs(const disk::Chunk& chunk, const std::vector<BlockName>& names) {
    std::size_t run_start = 0;
    for (std::size_t block = 0; block <= names.size(); ++block) {
      if (block < names.size() && shared_.writer.claim(names[block])) continue;
      store_run(chunk, names, run_start, block);
      run_start = block + 1;
    }
  }

  void store_run(const disk::Chunk& chunk, const std::vector<BlockName>& names, std::size_t from, std::size_t to) {
    if (to - from >= k_run_in_place_min) {
      const std::byte* const begin = chunk.block(from).data();
      const base::ByteView last = chunk.block(to - 1);
      const auto length = static_cast<std::size_t>(last.data() + last.size() - begin);
      shared_.writer.add(builder_.seal(std::span(names).subspan(from, to - from), {begin, length},
                                       static_cast<std::uint32_t>(chunk.block_size)));
      return;
    }
    for (std::size_t block = from; block < to; ++block) {
      if (auto frame = builder_.add(names[block], chunk.block(block))) shared_.writer.add(std::move(*frame));
    }
  }

  Shared& shared_;
  FrameBuilder builder_;
  std::vector<base::ByteView> views_;
  std::vector<std::size_t> places_;
  std::vector<BlockName> hashes_;
};

void store_chunks(Shared& shared, const std::stop_token& stop) {
  ChunkStore store(shared);
  while (const auto chunk = shared.source.next(stop)) store.store(*chunk);
  store.finish();
}

// One more than cores: a thread that writes a pack waits for the disk. Each may hold a pack in memory, so not many.
unsigned store_threads() {
  constexpr unsigned k_max = 8;
  return std::min(std::thread::hardware_concurrency() + 1, k_max);
}

// Brings names into the tree, in ascending order.
class TreeFeed {
 public:
  // All of the disk: what no chunk holds stays zero.
  explicit TreeFeed(repository::ImageTreeWriter& tree) : tree_(tree) {}
  // Only the changed blocks, each of them: what no chunk holds becomes zero.
  TreeFeed(repository::ImageTreeWriter& tree, const std::vector<disk::Extent>& changed, std::uint64_t block_bytes)
      : tree_(tree), changed_(&changed), block_bytes_(block_bytes) {
    enter();
  }

  void add(const NamedChunk& chunk) {
    const std::uint64_t end = chunk.first_block + chunk.names.size();
    if (changed_ == nullptr) {
      for (std::uint64_t block = chunk.first_block; block < end; ++block)
        tree_.set(block, chunk.names[block - chunk.first_block]);
      return;
    }
    zero_until(chunk.first_block);
    for (; extent_ < changed_->size() && block_ < end; step())
      tree_.set(block_, chunk.names[block_ - chunk.first_block]);
  }

  void finish() {
    if (changed_ != nullptr) zero_until(std::numeric_limits<std::uint64_t>::max());
  }

 private:
  void zero_until(std::uint64_t end) {
    for (; extent_ < changed_->size() && block_ < end; step()) tree_.set(block_, {});
  }
  void enter() {
    if (extent_ < changed_->size()) block_ = (*changed_)[extent_].offset / block_bytes_;
  }
  void step() {
    if (++block_ * block_bytes_ < (*changed_)[extent_].end()) return;
    ++extent_;
    enter();
  }

  repository::ImageTreeWriter& tree_;
  const std::vector<disk::Extent>* changed_ = nullptr;
  std::uint64_t block_bytes_ = 0;
  std::size_t extent_ = 0;   // of changed_
  std::uint64_t block_ = 0;  // the next one, in it
};

// Chunks end in any order.
void build_tree(Shared& shared, TreeFeed& feed) {
  std::map<std::uint64_t, NamedChunk> early;
  std::uint64_t next = 0;
  while (auto named = shared.named.pop()) {
    early.emplace(named->index, std::move(*named));
    for (auto at = early.begin(); at != early.end() && at->first == next; at = early.erase(at), ++next)
      feed.add(at->second);
  }
}

// To the source an empty list means everything.
void run_stages(Shared& shared, TreeFeed& feed, std::span<const disk::Extent> wanted, std::stop_token stop) {
  shared.source.start(wanted);
  flow::StageGroup stages(std::move(stop));
  stages.watch(shared.source);
  stages.watch(shared.named);
  stages.run(
      "store", store_threads(), [&](std::stop_token inner) { store_chunks(shared, inner); },
      [&] { shared.named.close(); });
  stages.run("tree", 1, [&](std::stop_token) { build_tree(shared, feed); });
  stages.join();
}

}  // namespace

Captured capture_disk(disk::DiskSource& source, repository::BlockWriter& writer,
                      const std::function<void(std::uint64_t)>& on_chunk, std::stop_token stop,
                      const std::optional<Increment>& increment) {
  Shared shared{.source = source, .writer = writer, .on_chunk = on_chunk};
  if (!increment) {
    repository::ImageTreeWriter tree(writer, source.size());
    TreeFeed feed(tree);
    run_stages(shared, feed, {}, std::move(stop));
    return {tree.finish(), shared.bytes_read.with([](std::uint64_t total) { return total; })};
  }
  repository::ImageTreeWriter tree(writer, source.size(), increment->base);
  TreeFeed feed(tree, increment->changed, writer.repository().config().block_bytes);
  if (!increment->changed.empty()) run_stages(shared, feed, increment->changed, std::move(stop));
  feed.finish();
  return {tree.finish(), shared.bytes_read.with([](std::uint64_t total) { return total; })};
}

}  // namespace icecore::job
