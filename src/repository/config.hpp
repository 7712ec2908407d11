// SPDX-License-Identifier: Apache-2.0
// The object `config`: what a program must know before it has a key. Its existence makes a repository
// exist; its bytes are bound into every key slot, so an altered config opens nothing.
#pragma once

#include <string>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "storage/storage.hpp"

namespace icecore::repository {

constexpr std::uint64_t k_format_version = 1;
constexpr std::string_view k_config_name = "config";

struct Config {
  std::uint64_t format_version = k_format_version;
  std::string repository_id;  // 32 hex digits
  base::Timestamp created{};
  bool encrypted = true;
  std::uint32_t block_bytes = 64 * base::k_kib;
  std::uint32_t frame_bytes = 2 * base::k_mib;
  std::uint32_t pack_bytes = 32 * base::k_mib;
  std::uint32_t fan_out = 1024;
};

// Throws Fault::usage when a size is outside of what FORMAT.md allows.
void check_sizes(const Config& config);

base::Bytes encode_config(const Config& config);
// Fault::corrupt: damaged or impossible values; Fault::usage: a newer format.
Config decode_config(base::ByteView object);

// The object as the storage holds it. Fault::not_found with the hint to make a repository.
base::Bytes read_config_object(storage::Storage& storage);

}  // namespace icecore::repository
