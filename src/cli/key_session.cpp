// SPDX-License-Identifier: Apache-2.0
#include "cli/key_session.hpp"

#include <fmt/core.h>

#include "base/error.hpp"
#include "cli/terminal_prompt.hpp"

namespace icecore::cli {

namespace {

using base::Fault;

constexpr std::size_t k_prefix_min = 4;

}  // namespace

OpenKeys open_keys(const Session& session, const std::stop_token& stop) {
  OpenKeys keys;
  keys.storage = storage::open_storage(need_repository_url(session));
  check_known_repository(session, *keys.storage);
  const repository::Credential credential = find_credential(credential_sources(session, stop), stop);
  keys.slots = std::make_unique<repository::KeySlots>(*keys.storage, credential);
  return keys;
}

repository::Credential find_new_credential(const Session& session, const NewCredential& wanted,
                                           const std::stop_token& stop) {
  if (!wanted.key_file.empty() && !wanted.passphrase_file.empty()) {
    base::fail(Fault::usage, "a new key is either a file or a passphrase");
  }
  if (!wanted.key_file.empty()) {
    if (!std::filesystem::exists(wanted.key_file)) repository::create_key_file(wanted.key_file);
    return repository::KeyFile{wanted.key_file};
  }
  if (wanted.passphrase_file.empty()) {
    return repository::Passphrase{prompt_new_passphrase(stop, "--new-passphrase-file FILE")};
  }
  return find_credential({{}, wanted.passphrase_file, session.environment, {}}, stop);
}

const repository::FoundSlot& find_slot(const std::vector<repository::FoundSlot>& slots, const std::string& prefix) {
  const repository::FoundSlot* found = nullptr;
  for (const repository::FoundSlot& slot : slots) {
    if (prefix.size() < k_prefix_min || !slot.slot.id.starts_with(prefix)) continue;
    if (found != nullptr) base::fail(Fault::usage, "'{}' fits several key slots; give more digits", prefix);
    found = &slot;
  }
  if (found != nullptr) return *found;
  throw base::Error(Fault::not_found, fmt::format("there is no key slot '{}'", prefix)).add_hint("icecore key list");
}

std::string slot_kind(const repository::KeySlot& slot) { return slot.passphrase ? "passphrase" : "key file"; }

}  // namespace icecore::cli
