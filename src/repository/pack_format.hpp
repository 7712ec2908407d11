// SPDX-License-Identifier: Apache-2.0
// The fixed bytes at both ends of a pack, for the writer and the reader. Written in FORMAT.md, "Pack".
#pragma once

#include <string_view>

#include "repository/envelope.hpp"
#include "repository/frame_table.hpp"

namespace icecore::repository {

constexpr std::string_view k_pack_magic("icepack\0", 8);
constexpr std::string_view k_pack_end_magic("kcapeci\0", 8);
constexpr std::uint8_t k_pack_version = 1;
constexpr std::size_t k_pack_salt_bytes = 16;
constexpr std::size_t k_pack_trailer_bytes = 12;  // footer length, end magic

// A pack cannot know its own name before it is complete, so its footer is bound to the pack's header,
// whose salt is random: a footer moved to another pack does not open.
inline std::string footer_name(base::ByteView header) { return "pack footer " + base::to_hex(header); }

// No pack of this repository is larger: it is closed when pack_bytes are reached, so its last frame lies behind them.
// Sizes come from the storage, which may say anything.
inline std::uint64_t pack_size_max(const Config& config) {
  return std::uint64_t{config.pack_bytes} + config.frame_bytes + k_frame_overhead_max +
         size_max(ObjectKind::pack_footer) + k_pack_trailer_bytes;
}

}  // namespace icecore::repository
