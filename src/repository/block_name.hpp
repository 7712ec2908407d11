// SPDX-License-Identifier: Apache-2.0
// The name of a block: the keyed hash of its content. All zero bytes name the all-zero block, which is
// never stored; no hash is expected to come out as zero.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstring>
#include <string>

#include "base/bytes.hpp"

namespace icecore::repository {

constexpr std::size_t k_name_bytes = 32;

struct BlockName {
  std::array<std::byte, k_name_bytes> bytes{};

  bool is_zero() const noexcept { return *this == BlockName{}; }
  std::string hex() const { return base::to_hex(bytes); }
  auto operator<=>(const BlockName&) const = default;

  // `view` must hold at least 32 bytes.
  static BlockName from(base::ByteView view) noexcept {
    BlockName name;
    std::copy_n(view.begin(), k_name_bytes, name.bytes.begin());
    return name;
  }
};

// For unordered containers. A name is a hash already: any eight of its bytes do.
struct BlockNameHash {
  std::size_t operator()(const BlockName& name) const noexcept {
    std::size_t value = 0;
    std::memcpy(&value, name.bytes.data(), sizeof(value));
    return value;
  }
};

}  // namespace icecore::repository
