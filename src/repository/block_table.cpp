// SPDX-License-Identifier: Apache-2.0
#include "repository/block_table.hpp"

#include <algorithm>
#include <limits>

#include "base/error.hpp"

namespace icecore::repository {

namespace {

// A number may belong to the block itself or to any that follows in its pack or frame.
template <typename Items>
auto last_from(const Items& items, std::uint32_t number) {
  return std::prev(std::upper_bound(items.begin(), items.end(), number,
                                    [](std::uint32_t at, const auto& item) { return at < item.first_block; }));
}

}  // namespace

void BlockTable::add(const PackEntry& pack, std::uint32_t source, const BadBlocks& bad) {
  if (!pack_at_.try_emplace(pack.id, static_cast<std::uint32_t>(packs_.size())).second) return;
  const std::size_t blocks = pack.block_count();
  if (blocks > std::numeric_limits<std::uint32_t>::max() - size_) {
    base::fail(base::Fault::internal, "the repository holds more than {} blocks", size_);
  }
  packs_.push_back({pack.id, pack.kind, size_, static_cast<std::uint32_t>(blocks), pack.frames_end(), source});
  if (pack.kind == FrameKind::tree) add_nodes(pack);
  for (const FrameEntry& frame : pack.frames) {
    for (const FrameBlock& block : frame.blocks) {
      Entry entry{{}, size_++};
      std::copy_n(block.name.bytes.begin(), entry.tag.size(), entry.tag.begin());
      if (bad.empty() || !bad.contains({pack.id, block.name})) entries_.push_back(entry);
    }
  }
}

void BlockTable::add_nodes(const PackEntry& pack) {
  std::uint32_t first = size_;
  for (const FrameEntry& frame : pack.frames) {
    NodeFrame nodes{
        first, {pack.id, pack.kind, frame.offset, frame.stored_length, frame.raw_length, frame.compression}, {}};
    std::uint32_t end = 0;
    for (const FrameBlock& block : frame.blocks) nodes.ends.push_back(end += block.length);
    first += static_cast<std::uint32_t>(frame.blocks.size());
    nodes_.push_back(std::move(nodes));
  }
}

void BlockTable::seal(const std::set<PackId>& doubtful) {
  std::sort(entries_.begin(), entries_.end(), [&](const Entry& a, const Entry& b) {
    if (a.tag != b.tag) return a.tag < b.tag;
    const TablePack& a_pack = pack_of(a.number);
    const TablePack& b_pack = pack_of(b.number);
    const bool a_doubtful = doubtful.contains(a_pack.id);
    const bool b_doubtful = doubtful.contains(b_pack.id);
    return std::tuple(a_doubtful, b_pack.blocks, a_pack.id, a.number) <
           std::tuple(b_doubtful, a_pack.blocks, b_pack.id, b.number);
  });
  const auto same = [](const Entry& a, const Entry& b) { return a.tag == b.tag; };
  entries_.erase(std::unique(entries_.begin(), entries_.end(), same), entries_.end());
}

std::optional<std::uint32_t> BlockTable::find(const BlockName& name) const {
  std::array<std::byte, 12> tag;
  std::copy_n(name.bytes.begin(), tag.size(), tag.begin());
  const auto at = std::lower_bound(entries_.begin(), entries_.end(), tag,
                                   [](const Entry& entry, const auto& wanted) { return entry.tag < wanted; });
  if (at == entries_.end() || at->tag != tag) return std::nullopt;
  return at->number;
}

std::optional<BlockLocation> BlockTable::locate_node(std::uint32_t number) const {
  if (pack_of(number).kind != FrameKind::tree) return std::nullopt;
  const NodeFrame& frame = *last_from(nodes_, number);
  const std::uint32_t at = number - frame.first_block;
  const std::uint32_t offset = at == 0 ? 0 : frame.ends[at - 1];
  return BlockLocation{frame.location, offset, frame.ends[at] - offset};
}

std::optional<std::uint32_t> BlockTable::index_of(const PackId& pack) const {
  const auto found = pack_at_.find(pack);
  return found == pack_at_.end() ? std::nullopt : std::optional(found->second);
}

const TablePack& BlockTable::pack_of(std::uint32_t number) const { return *last_from(packs_, number); }

}  // namespace icecore::repository
