// SPDX-License-Identifier: Apache-2.0
// What the `key` commands share: the slots of the session's repository, and a new credential for one.
#pragma once

#include <filesystem>
#include <memory>

#include "cli/session.hpp"
#include "repository/key_slots.hpp"

namespace icecore::cli {

struct OpenKeys {
  std::unique_ptr<storage::Storage> storage;
  std::unique_ptr<repository::KeySlots> slots;
};

// Opens with the session's credential, asking for the passphrase when nothing else is named.
OpenKeys open_keys(const Session& session, const std::stop_token& stop);

// Where a new credential comes from; both empty: the terminal, asked twice.
struct NewCredential {
  std::filesystem::path key_file;  // made when it does not exist
  std::filesystem::path passphrase_file;
};
repository::Credential find_new_credential(const Session& session, const NewCredential& wanted,
                                           const std::stop_token& stop);

// The slot whose id begins so. Fault::not_found, usage.
const repository::FoundSlot& find_slot(const std::vector<repository::FoundSlot>& slots, const std::string& prefix);

// "key file" or "passphrase"
std::string slot_kind(const repository::KeySlot& slot);

}  // namespace icecore::cli
