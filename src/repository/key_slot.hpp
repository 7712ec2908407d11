// SPDX-License-Identifier: Apache-2.0
// The objects keys/<id>: each holds the master key wrapped for one key file or passphrase. Any slot opens
// the repository; slots can be added and removed without touching data. Written in FORMAT.md, "Key slot".
#pragma once

#include <optional>
#include <string>

#include "base/clock.hpp"
#include "repository/config.hpp"
#include "repository/key_file.hpp"
#include "repository/key_ring.hpp"

namespace icecore::repository {

// Argon2id's cost. The default is libsodium's MODERATE: 3 passes over 256 MiB, well under a second.
struct PassphraseCost {
  std::uint64_t operations = 3;
  std::uint64_t memory_bytes = 256 * base::k_mib;
};

struct KeySlot {
  std::string id;  // 32 hex digits
  bool passphrase = false;
  std::string label;  // who or what holds it, for `key list`
  base::Timestamp created{};
  PassphraseCost cost;  // passphrase slots only
  base::Bytes salt;
  base::Bytes wrapped;  // nonce | ciphertext | tag of the master key
};

std::string key_slot_object(const std::string& id);

// A new slot for `credential` (not none), bound to the bytes of the config object.
KeySlot make_slot(const Secret& master, const Credential& credential, base::ByteView config_object,
                  const PassphraseCost& cost);
base::Bytes encode_slot(const KeySlot& slot);
// `id` is the last part of the object's name.
KeySlot decode_slot(const std::string& id, base::ByteView object);

// The credential's own bytes, read or derived once and then tried on each slot.
struct Unlocker {
  bool passphrase = false;
  Secret secret;
};
Unlocker make_unlocker(const Credential& credential);

// The master key, or nothing when the slot is of another kind, another key or another config.
std::optional<Secret> open_slot(const KeySlot& slot, const Unlocker& unlocker, base::ByteView config_object);

}  // namespace icecore::repository
