// SPDX-License-Identifier: Apache-2.0
#include "repository/key_slots.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/id.hpp"
#include "repository/envelope.hpp"

namespace icecore::repository {

using base::Fault;

namespace {

std::string last_part(const std::string& name) { return name.substr(name.rfind('/') + 1); }

FoundSlot read_slot(storage::Storage& storage, const std::string& id) {
  FoundSlot found;
  found.slot.id = id;
  try {
    found.slot = decode_slot(id, storage.get(key_slot_object(id), size_max(ObjectKind::key_slot)));
  } catch (const base::Error& error) {
    // One damaged slot must not lock out the keys of the others; it is named if none opens.
    if (error.fault() != Fault::corrupt && error.fault() != Fault::usage) throw;
    found.damage = error.what();
  }
  return found;
}

Config need_encrypted(base::ByteView config_object, const std::string& url) {
  Config config = base::with_context([&] { return decode_config(config_object); }, "repository '{}'", url);
  if (!config.encrypted) base::fail(Fault::usage, "the repository in '{}' is not encrypted: it has no keys", url);
  return config;
}

}  // namespace

OpenedMaster open_master(storage::Storage& storage, const Credential& credential, base::ByteView config_object) {
  const Unlocker unlocker = make_unlocker(credential);
  std::string damage;
  for (const storage::ObjectInfo& object : storage.list("keys")) {
    const FoundSlot found = read_slot(storage, last_part(object.name));
    if (!found.damage.empty()) {
      damage = found.damage;
    } else if (std::optional<Secret> master = open_slot(found.slot, unlocker, config_object)) {
      return {std::move(*master), found.slot.id};
    }
  }
  if (!damage.empty())
    base::fail(Fault::corrupt, "no key slot of '{}' opens, and one is damaged: {}", storage.url(), damage);
  base::fail(Fault::denied, "no key slot of '{}' opens with this {}", storage.url(),
             unlocker.passphrase ? "passphrase" : "key file");
}

std::vector<FoundSlot> list_slots(storage::Storage& storage) {
  std::vector<FoundSlot> slots;
  for (const storage::ObjectInfo& object : storage.list("keys")) {
    slots.push_back(read_slot(storage, last_part(object.name)));
  }
  std::sort(slots.begin(), slots.end(), [](const FoundSlot& a, const FoundSlot& b) {
    return std::tie(a.slot.created, a.slot.id) < std::tie(b.slot.created, b.slot.id);
  });
  return slots;
}

KeySlots::KeySlots(storage::Storage& storage, const Credential& credential)
    : storage_(storage),
      config_object_(read_config_object(storage)),
      config_(need_encrypted(config_object_, storage.url())),
      opened_(open_master(storage, credential, config_object_)) {}

KeySlot KeySlots::add(const Credential& credential, const std::string& label, const PassphraseCost& cost) {
  if (const auto known = opened_by(credential)) {
    throw base::Error(Fault::conflict,
                      fmt::format("this {} opens key slot {} already", known->passphrase ? "passphrase" : "key file",
                                  base::short_id(known->id)))
        .add_hint("icecore key list");
  }
  KeySlot slot = make(credential, label, cost);
  store(slot, credential);
  return slot;
}

KeySlot KeySlots::make(const Credential& credential, const std::string& label, const PassphraseCost& cost) const {
  KeySlot slot = make_slot(opened_.master, credential, config_object_, cost);
  slot.label = label;
  return slot;
}

void KeySlots::store(const KeySlot& slot, const Credential& credential) {
  storage_.put(key_slot_object(slot.id), encode_slot(slot));
  prove(slot, credential);
  base::failpoint("key.added");
}

void KeySlots::remove(const std::string& id) {
  const auto readable_but = [&] {
    const std::vector<FoundSlot> slots = list_slots(storage_);
    return std::any_of(slots.begin(), slots.end(),
                       [&](const FoundSlot& found) { return found.damage.empty() && found.slot.id != id; });
  };
  const std::string name = key_slot_object(id);
  const auto fail_last = [&] {
    base::fail(Fault::conflict, "key slot {} is the last: without it nobody could open the repository",
               base::short_id(id));
  };
  const base::Bytes object = storage_.get(name, size_max(ObjectKind::key_slot));
  if (!readable_but()) fail_last();
  storage_.remove(name);
  base::failpoint("key.removed");
  // Two that remove at once may each have counted on the other's slot. Whoever then sees none puts theirs back.
  if (readable_but()) return;
  storage_.put(name, object);
  fail_last();
}

std::optional<KeySlot> KeySlots::opened_by(const Credential& credential) {
  const Unlocker unlocker = make_unlocker(credential);
  for (const FoundSlot& found : list_slots(storage_)) {
    if (found.damage.empty() && open_slot(found.slot, unlocker, config_object_)) return found.slot;
  }
  return std::nullopt;
}

void KeySlots::prove(const KeySlot& slot, const Credential& credential) {
  const FoundSlot stored = read_slot(storage_, slot.id);
  std::optional<Secret> master;
  if (stored.damage.empty()) master = open_slot(stored.slot, make_unlocker(credential), config_object_);
  const auto same = [](base::ByteView a, base::ByteView b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  };
  if (master && same(master->view(), opened_.master.view())) return;
  base::fail(Fault::corrupt, "the new key slot {} does not read back as it was written", slot.id);
}

}  // namespace icecore::repository
