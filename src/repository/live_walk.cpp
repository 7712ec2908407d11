// SPDX-License-Identifier: Apache-2.0
#include "repository/live_walk.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace icecore::repository {

using base::Fault;

namespace {

// Decoded frames kept: neighbours in a tree mostly lie in one.
constexpr std::size_t k_recent_max = 8;
constexpr std::size_t k_problems_max = 1000;

}  // namespace

LiveWalk::LiveWalk(Repository& repository, const BlockTable& table)
    : repository_(repository), table_(table), reader_(repository), live_(table.size()) {}

std::vector<BlockRange> LiveWalk::walk(const ImageRoot& image) {
  const Config& config = repository_.config();
  Image state{block_count(image.disk_size, config.block_bytes), {}};
  if (image.root.is_zero()) return {};
  if (image.height != tree_height(state.blocks, config.fan_out)) {
    problems_.push_back(
        fmt::format("an image of {} bytes cannot have a tree of height {}", image.disk_size, image.height));
    return {{0, state.blocks}};
  }
  visit(state, image.root, image.height, 0);
  return std::move(state.lost);
}

// level 1: a leaf.
LiveWalk::Walked LiveWalk::visit(Image& image, const BlockName& name, unsigned level, std::uint64_t first) {
  const std::optional<std::uint32_t> number = mark(name);
  const auto lose_all = [&] {
    lose(image, first, blocks_below(level));
    return Walked{};
  };
  if (!number) return lose_all();
  const std::uint64_t key = (std::uint64_t{*number} << 6) | level;
  if (const auto known = walked_.find(key); known != walked_.end()) {
    if (first + known->second.reach > image.blocks) return lose_all();
    // What is damaged is walked again: this image has to learn its own lost ranges.
    if (known->second.whole) return known->second;
  }
  const auto names = read_node(name, *number);
  if (!names) return lose_all();
  return walked_[key] = visit_children(image, *names, level, first);
}

LiveWalk::Walked LiveWalk::visit_children(Image& image, const std::vector<BlockName>& names, unsigned level,
                                          std::uint64_t first) {
  const std::uint64_t below = blocks_below(level - 1);
  Walked node{.whole = true, .reach = 0};
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].is_zero()) continue;
    const std::uint64_t at = first + i * below;
    Walked child{.whole = false, .reach = 1};
    if (at >= image.blocks) {
      problems_.push_back("an image tree reaches behind the disk's end");
    } else if (level > 1) {
      child = visit(image, names[i], level - 1, at);
    } else if (mark(names[i])) {
      child.whole = true;
    } else {
      lose(image, at, 1);
    }
    node.whole = node.whole && child.whole;
    node.reach = std::max(node.reach, i * below + child.reach);
  }
  return node;
}

std::optional<std::uint32_t> LiveWalk::mark(const BlockName& name) {
  const std::optional<std::uint32_t> number = table_.find(name);
  if (!number) {
    if (missing_.size() < k_missing_max) missing_.insert(name);
  } else if (!live_[*number]) {
    live_[*number] = true;
    ++live_blocks_;
  }
  return number;
}

std::optional<std::vector<BlockName>> LiveWalk::read_node(const BlockName& name, std::uint32_t number) {
  try {
    return decode_node(name, read_block(name, number), repository_.config().fan_out);
  } catch (const base::Error& error) {
    if (error.fault() != Fault::corrupt) throw;
    unreadable_packs_.insert(table_.pack_of(number).id);
    if (problems_.size() < k_problems_max) problems_.push_back(error.what());
    return std::nullopt;
  }
}

base::Bytes LiveWalk::read_block(const BlockName& name, std::uint32_t number) {
  const std::optional<BlockLocation> at = table_.locate_node(number);
  if (!at) {
    if (!std::exchange(index_is_fresh_, true)) repository_.refresh_index();
    return reader_.read_block(name);
  }
  auto known =
      std::find_if(recent_.begin(), recent_.end(), [&](const Decoded& frame) { return frame.location == at->frame; });
  if (known == recent_.end()) {
    base::Buffer bytes =
        read_frame(repository_.storage(), repository_.keys(), repository_.config(), decompressor_, at->frame);
    if (recent_.size() == k_recent_max) recent_.pop_back();
    recent_.insert(recent_.begin(), Decoded{at->frame, std::move(bytes)});
  } else {
    std::rotate(recent_.begin(), known, known + 1);
  }
  const base::ByteView block = recent_.front().bytes.view().subspan(at->offset, at->length);
  if (repository_.keys().name_of(block) != name) {
    base::fail(Fault::corrupt, "block {} in the frame at byte {} of pack {} is not what its name says", name.hex(),
               at->frame.offset, at->frame.pack.hex());
  }
  return {block.begin(), block.end()};
}

void LiveWalk::lose(Image& image, std::uint64_t first, std::uint64_t count) {
  count = std::min(count, image.blocks - first);
  if (!image.lost.empty() && image.lost.back().first + image.lost.back().count == first) {
    image.lost.back().count += count;
  } else if (count > 0) {
    image.lost.push_back({first, count});
  }
}

// What a node of that level stands for; a block at level 0.
std::uint64_t LiveWalk::blocks_below(unsigned level) const {
  std::uint64_t count = 1;
  for (unsigned i = 0; i < level; ++i) count *= repository_.config().fan_out;
  return count;
}

}  // namespace icecore::repository
