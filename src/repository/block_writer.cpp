// SPDX-License-Identifier: Apache-2.0
#include "repository/block_writer.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/id.hpp"
#include "repository/index_object.hpp"

namespace icecore::repository {

BlockWriter::BlockWriter(Repository& repository, int compression_level)
    : repository_(repository), compression_level_(compression_level) {
  Compressor check_level(compression_level);
  repository_.begin_relying_on_index();
}

bool BlockWriter::claim(const BlockName& name) {
  if (name.is_zero()) return false;
  // Order matters: write_index() puts names into the index before it takes them out of claimed_. Looking
  // there first, a name on its way could be missed in both.
  const bool fresh = claimed_.with([&](auto& names) { return names.insert(name).second; });
  if (!fresh) return false;
  if (!repository_.index().contains(name)) return true;
  claimed_.with([&](auto& names) { names.erase(name); });
  return false;
}

void BlockWriter::add(SealedFrame frame) {
  std::optional<PackWriter> ready = state_.with([&](State& state) -> std::optional<PackWriter> {
    state.stats.new_blocks += frame.entry.blocks.size();
    state.stats.new_bytes += frame.entry.raw_length;
    state.stats.compressed_bytes += frame.entry.stored_length;
    const FrameKind kind = frame.kind;
    PackWriter& open = kind == FrameKind::data ? state.data : state.tree;
    open.add(repository_.config(), std::move(frame));
    if (!open.full(repository_.config())) return std::nullopt;
    return swap_pack(state, kind);
  });
  if (ready) write_pack(std::move(*ready));
}

// Takes the open pack out and puts an empty one in its place.
PackWriter BlockWriter::swap_pack(State& state, FrameKind kind) {
  base::Buffer memory;
  if (!state.memory.empty()) {
    memory = std::move(state.memory.back());
    state.memory.pop_back();
  }
  return std::exchange(kind == FrameKind::data ? state.data : state.tree, PackWriter(kind, std::move(memory)));
}

void BlockWriter::write_pack(PackWriter pack) {
  std::uint64_t stored = 0;
  PackEntry entry = pack.write(repository_.storage(), repository_.keys(), stored);
  std::vector<PackEntry> ready = state_.with([&](State& state) -> std::vector<PackEntry> {
    state.memory.push_back(pack.take_memory());
    state.stats.packs += 1;
    state.stats.stored_bytes += stored;
    state.unindexed_blocks += entry.block_count();
    state.unindexed.push_back(std::move(entry));
    if (state.unindexed_blocks < k_blocks_per_index) return {};
    state.unindexed_blocks = 0;
    return std::exchange(state.unindexed, {});
  });
  if (!ready.empty()) write_index(std::move(ready));
}

// Of what no index names yet nobody would notice that it is gone, and every backup to come would rely on it.
void BlockWriter::require_there(const std::vector<PackEntry>& packs) const {
  std::vector<std::string> names;
  for (const PackEntry& pack : packs) names.push_back(pack_object(pack.id));
  const auto sizes = repository_.storage().sizes_of(names);
  const auto gone = std::find(sizes.begin(), sizes.end(), std::nullopt);
  if (gone == sizes.end()) return;
  throw base::Error(base::Fault::conflict,
                    fmt::format("'{}', which was just written, is gone from '{}'",
                                names[static_cast<std::size_t>(gone - sizes.begin())], repository_.storage().url()))
      .add_hint("run the backup again; was its repository lock removed, and a prune run?");
}

void BlockWriter::write_index(std::vector<PackEntry> packs) {
  require_there(packs);
  const std::string id = base::random_id(16);
  const base::Bytes object = encode_index(repository_.keys(), id, packs);
  repository_.storage().put(index_object(id), object);
  base::failpoint("repository.index_written");
  state_.with([&](State& state) { state.stats.stored_bytes += object.size(); });
  // Only now: the cache never knows more than the repository.
  repository_.index().add(id, packs);
  claimed_.with([&](auto& names) {
    for (const PackEntry& pack : packs) {
      for (const FrameEntry& frame : pack.frames) {
        for (const FrameBlock& block : frame.blocks) names.erase(block.name);
      }
    }
  });
}

WriteStats BlockWriter::finish() {
  for (const FrameKind kind : {FrameKind::data, FrameKind::tree}) {
    PackWriter last = state_.with([&](State& state) { return swap_pack(state, kind); });
    if (!last.empty()) write_pack(std::move(last));
  }
  std::vector<PackEntry> rest = state_.with([](State& state) { return std::exchange(state.unindexed, {}); });
  if (!rest.empty()) write_index(std::move(rest));
  const std::size_t owed = claimed_.with([](auto& names) { return names.size(); });
  if (owed != 0) base::fail(base::Fault::internal, "{} blocks were claimed and never stored", owed);
  return stats();
}

WriteStats BlockWriter::stats() const {
  return state_.with([](const State& state) { return state.stats; });
}

}  // namespace icecore::repository
