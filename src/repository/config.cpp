// SPDX-License-Identifier: Apache-2.0
#include "repository/config.hpp"

#include <bit>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/shell_word.hpp"
#include "repository/envelope.hpp"

namespace icecore::repository {

using base::Fault;

namespace {

constexpr std::string_view k_encrypted = "xchacha20-poly1305";
constexpr std::string_view k_unencrypted = "none";

bool decode_encryption(const std::string& text) {
  if (text == k_encrypted) return true;
  if (text != k_unencrypted) base::fail(Fault::corrupt, "config names the unknown encryption '{}'", text);
  return false;
}

Config from_json(const base::Json& json) {
  Config config;
  config.format_version = base::json_field<std::uint64_t>(json, "format_version", "config");
  // First of all: nothing else is known to mean the same in a newer format.
  if (config.format_version > k_format_version) fail_newer("the repository", config.format_version, k_format_version);
  config.repository_id = base::json_field<std::string>(json, "repository_id", "config");
  config.created = parse_stored_time(base::json_field<std::string>(json, "created", "config"), "config");
  config.encrypted = decode_encryption(base::json_field<std::string>(json, "encryption", "config"));
  config.block_bytes = base::json_field<std::uint32_t>(json, "block_bytes", "config");
  config.frame_bytes = base::json_field<std::uint32_t>(json, "frame_bytes", "config");
  config.pack_bytes = base::json_field<std::uint32_t>(json, "pack_bytes", "config");
  config.fan_out = base::json_field<std::uint32_t>(json, "fan_out", "config");
  return config;
}

}  // namespace

void check_sizes(const Config& config) {
  const bool good = std::has_single_bit(config.block_bytes) && config.block_bytes >= 4 * base::k_kib &&
                    config.block_bytes <= base::k_mib && config.frame_bytes % config.block_bytes == 0 &&
                    config.frame_bytes >= config.block_bytes && config.frame_bytes <= 16 * base::k_mib &&
                    config.pack_bytes >= 64 * base::k_kib && config.pack_bytes <= 512 * base::k_mib &&
                    std::has_single_bit(config.fan_out) && config.fan_out >= 4 &&
                    config.fan_out * k_name_bytes <= config.frame_bytes;
  if (!good) {
    base::fail(Fault::usage, "block {}, frame {}, pack {} bytes and fan-out {} do not go together", config.block_bytes,
               config.frame_bytes, config.pack_bytes, config.fan_out);
  }
}

base::Bytes encode_config(const Config& config) {
  const base::Json json = {{"format_version", config.format_version},
                           {"repository_id", config.repository_id},
                           {"created", base::format_time(config.created)},
                           {"encryption", config.encrypted ? k_encrypted : k_unencrypted},
                           {"block_hash", "blake2b-256"},
                           {"compression", "zstd"},
                           {"block_bytes", config.block_bytes},
                           {"frame_bytes", config.frame_bytes},
                           {"pack_bytes", config.pack_bytes},
                           {"fan_out", config.fan_out}};
  return seal(KeyRing::unencrypted(), ObjectKind::config, k_config_name, base::as_bytes(json.dump(2)));
}

Config decode_config(base::ByteView object) {
  const base::Bytes payload = open(KeyRing::unencrypted(), ObjectKind::config, k_config_name, object);
  Config config = from_json(base::parse_json(base::to_string(payload), "config"));
  try {
    check_sizes(config);
    if (config.repository_id.size() != 32 || base::from_hex(config.repository_id).size() != 16) {
      base::fail(Fault::corrupt, "'{}' is no repository id", config.repository_id);
    }
  } catch (const base::Error& error) {
    base::fail(Fault::corrupt, "config: {}", error.what());
  }
  return config;
}

base::Bytes read_config_object(storage::Storage& storage) {
  try {
    return storage.get(std::string(k_config_name), size_max(ObjectKind::config));
  } catch (const base::Error& error) {
    if (error.fault() != Fault::not_found) throw;
    throw base::Error(Fault::not_found, fmt::format("'{}' is no icecore repository", storage.url()))
        .add_hint(fmt::format("icecore init -r {}", base::shell_word(storage.url())));
  }
}

}  // namespace icecore::repository
