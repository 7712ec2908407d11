// SPDX-License-Identifier: Apache-2.0
// The key slots of a repository: found, opened, added and removed. Slots never touch data, so that all of this
// goes beside any backup.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "repository/key_slot.hpp"
#include "storage/storage.hpp"

namespace icecore::repository {

struct OpenedMaster {
  Secret master;
  std::string slot;  // id of the one that opened
};
// Tries all slots. Fault::denied: none opens with this credential; Fault::corrupt: none does, and one is damaged.
OpenedMaster open_master(storage::Storage& storage, const Credential& credential, base::ByteView config_object);

struct FoundSlot {
  KeySlot slot;        // with damage: only its id
  std::string damage;  // why it cannot be read
};
// By time of creation. Needs no key.
std::vector<FoundSlot> list_slots(storage::Storage& storage);

// The slots, with the master key in hand. Not for several threads.
class KeySlots {
 public:
  // `storage` outlives it. Fault::usage: the repository is not encrypted, so it has no keys.
  KeySlots(storage::Storage& storage, const Credential& credential);

  const Config& config() const noexcept { return config_; }
  // The slot the credential opened.
  const std::string& in_use() const noexcept { return opened_.slot; }

  // The slot this credential opens, if any.
  std::optional<KeySlot> opened_by(const Credential& credential);

  // A new slot, durable, read back and opened before this returns; on failure it is as if nothing had been done, or
  // one slot more. Fault::conflict: the credential opens a slot already.
  KeySlot add(const Credential& credential, const std::string& label, const PassphraseCost& cost = {});

  // add() in two steps, for a key that nobody holds yet: it has to be in safe hands before the slot counts as one that
  // opens the repository. make() stores nothing; store() fails as add() does.
  KeySlot make(const Credential& credential, const std::string& label, const PassphraseCost& cost = {}) const;
  void store(const KeySlot& slot, const Credential& credential);

  // Fault::not_found; Fault::conflict: no other slot could be read, then it is still there.
  void remove(const std::string& id);

 private:
  void prove(const KeySlot& slot, const Credential& credential);

  storage::Storage& storage_;
  base::Bytes config_object_;
  Config config_;
  OpenedMaster opened_;
};

}  // namespace icecore::repository
