// SPDX-License-Identifier: Apache-2.0
#include "repository/image_tree.hpp"

#include "base/error.hpp"

namespace icecore::repository {

unsigned tree_height(std::uint64_t blocks, std::uint32_t fan_out) {
  unsigned height = 1;
  for (std::uint64_t nodes = blocks; nodes > fan_out; nodes = (nodes + fan_out - 1) / fan_out) ++height;
  return height;
}

base::Bytes encode_node(const std::vector<BlockName>& names) {
  std::size_t count = names.size();
  while (count > 0 && names[count - 1].is_zero()) --count;
  base::ByteWriter writer;
  for (std::size_t i = 0; i < count; ++i) writer.raw(names[i].bytes);
  return writer.take();
}

std::vector<BlockName> decode_node(const BlockName& node, base::ByteView bytes, std::uint32_t fan_out) {
  const std::size_t count = bytes.size() / k_name_bytes;
  if (bytes.empty() || bytes.size() % k_name_bytes != 0 || count > fan_out) {
    base::fail(base::Fault::corrupt, "block {} is no image tree node: it has {} bytes", node.hex(), bytes.size());
  }
  std::vector<BlockName> names;
  names.reserve(count);
  for (std::size_t i = 0; i < count; ++i) names.push_back(BlockName::from(bytes.subspan(i * k_name_bytes)));
  if (names.back().is_zero())
    base::fail(base::Fault::corrupt, "block {} is no image tree node: it ends in zero names", node.hex());
  return names;
}

}  // namespace icecore::repository
