// SPDX-License-Identifier: Apache-2.0
#include "repository/key_slot.hpp"

#include <sodium.h>

#include "base/error.hpp"
#include "base/id.hpp"
#include "base/json.hpp"
#include "repository/envelope.hpp"

namespace icecore::repository {

using base::Fault;

namespace {

constexpr std::size_t k_salt_bytes = crypto_pwhash_SALTBYTES;
constexpr std::size_t k_wrapped_bytes = k_nonce_bytes + k_key_bytes + k_tag_bytes;
// A slot is read from untrusted storage before anything is proved: it may not ask for more than this.
constexpr std::uint64_t k_operations_max = 64;
constexpr std::uint64_t k_memory_bytes_max = 2 * base::k_gib;
constexpr std::string_view k_key_file_domain = "icecore key file slot";

unsigned char* raw(base::ByteSpan bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }
const unsigned char* raw(base::ByteView bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

Secret wrapping_key(const KeySlot& slot, const Unlocker& unlocker) {
  Secret key(k_key_bytes);
  if (slot.passphrase) {
    const auto* text = reinterpret_cast<const char*>(unlocker.secret.view().data());
    if (crypto_pwhash(raw(key.span()), key.size(), text, unlocker.secret.size(), raw(base::ByteView(slot.salt)),
                      slot.cost.operations, slot.cost.memory_bytes, crypto_pwhash_ALG_ARGON2ID13) != 0) {
      base::fail(Fault::unavailable, "deriving a key from the passphrase needs {} of memory",
                 base::format_size(slot.cost.memory_bytes));
    }
    return key;
  }
  const std::array<base::ByteView, 2> parts = {base::as_bytes(k_key_file_domain), slot.salt};
  Digest digest = keyed_digest_of(unlocker.secret.view(), parts);
  std::copy(digest.begin(), digest.end(), key.span().begin());
  wipe(digest);
  return key;
}

// The wrapped key opens only beside the very config it was made for and under its own id: a server cannot
// weaken the config or pass one slot off as another.
base::Bytes associated_data(const KeySlot& slot, base::ByteView config_object) {
  const Digest config = digest_of(std::span(&config_object, 1));
  base::ByteWriter writer;
  writer.raw(config);
  writer.raw(base::as_bytes(slot.id));
  return writer.take();
}

base::Bytes random_bytes(std::size_t count) {
  base::Bytes bytes(count);
  fill_random(bytes);
  return bytes;
}

void check_slot(const KeySlot& slot, std::string_view what) {
  const bool cost_good =
      !slot.passphrase ||
      (slot.cost.operations >= crypto_pwhash_OPSLIMIT_MIN && slot.cost.operations <= k_operations_max &&
       slot.cost.memory_bytes >= crypto_pwhash_MEMLIMIT_MIN && slot.cost.memory_bytes <= k_memory_bytes_max);
  if (slot.salt.size() != k_salt_bytes || slot.wrapped.size() != k_wrapped_bytes || !cost_good) {
    base::fail(Fault::corrupt, "{} has impossible values", what);
  }
}

}  // namespace

std::string key_slot_object(const std::string& id) { return "keys/" + id; }

KeySlot make_slot(const Secret& master, const Credential& credential, base::ByteView config_object,
                  const PassphraseCost& cost) {
  const Unlocker unlocker = make_unlocker(credential);
  KeySlot slot;
  slot.id = base::random_id(16);
  slot.passphrase = unlocker.passphrase;
  slot.label = base::host_name();
  slot.created = base::now();
  slot.cost = cost;
  slot.salt = random_bytes(k_salt_bytes);
  slot.wrapped = random_bytes(k_wrapped_bytes);  // the first bytes are the nonce, the rest is overwritten
  const Secret key = wrapping_key(slot, unlocker);
  const base::Bytes associated = associated_data(slot, config_object);
  const base::ByteSpan wrapped(slot.wrapped);
  crypto_aead_xchacha20poly1305_ietf_encrypt(raw(wrapped.subspan(k_nonce_bytes)), nullptr, raw(master.view()),
                                             master.size(), raw(base::ByteView(associated)), associated.size(), nullptr,
                                             raw(wrapped), raw(key.view()));
  return slot;
}

base::Bytes encode_slot(const KeySlot& slot) {
  base::Json json = {{"kind", slot.passphrase ? "passphrase" : "key-file"},
                     {"label", slot.label},
                     {"created", base::format_time(slot.created)},
                     {"salt", base::to_hex(slot.salt)},
                     {"wrapped_key", base::to_hex(slot.wrapped)}};
  if (slot.passphrase)
    json["argon2id"] = {{"operations", slot.cost.operations}, {"memory_bytes", slot.cost.memory_bytes}};
  return seal(KeyRing::unencrypted(), ObjectKind::key_slot, key_slot_object(slot.id), base::as_bytes(json.dump(2)));
}

KeySlot decode_slot(const std::string& id, base::ByteView object) {
  const std::string name = key_slot_object(id);
  const base::Bytes payload = open(KeyRing::unencrypted(), ObjectKind::key_slot, name, object);
  const std::string what = "key slot '" + name + "'";
  const base::Json json = base::parse_json(base::to_string(payload), what);
  KeySlot slot;
  slot.id = id;
  const auto kind = base::json_field<std::string>(json, "kind", what);
  slot.passphrase = kind == "passphrase";
  if (!slot.passphrase && kind != "key-file") base::fail(Fault::corrupt, "{} is of the unknown kind '{}'", what, kind);
  slot.label = base::json_field<std::string>(json, "label", what);
  slot.created = parse_stored_time(base::json_field<std::string>(json, "created", what), what);
  slot.salt = parse_stored_hex(base::json_field<std::string>(json, "salt", what), what);
  slot.wrapped = parse_stored_hex(base::json_field<std::string>(json, "wrapped_key", what), what);
  if (slot.passphrase) {
    const auto cost = base::json_field<base::Json>(json, "argon2id", what);
    slot.cost = {base::json_field<std::uint64_t>(cost, "operations", what),
                 base::json_field<std::uint64_t>(cost, "memory_bytes", what)};
  }
  check_slot(slot, what);
  return slot;
}

Unlocker make_unlocker(const Credential& credential) {
  if (const auto* file = std::get_if<KeyFile>(&credential)) return {false, read_key_file(file->path)};
  if (const auto* bytes = std::get_if<KeyBytes>(&credential)) return {false, bytes->key.clone()};
  if (const auto* phrase = std::get_if<Passphrase>(&credential)) {
    if (phrase->text.size() == 0) base::fail(Fault::usage, "the passphrase is empty");
    return {true, phrase->text.clone()};
  }
  throw base::Error(Fault::usage, "the repository is encrypted: a key file or passphrase is needed")
      .add_hint("add --key-file FILE, or set ICECORE_KEY_FILE or ICECORE_PASSPHRASE_FILE");
}

std::optional<Secret> open_slot(const KeySlot& slot, const Unlocker& unlocker, base::ByteView config_object) {
  if (slot.passphrase != unlocker.passphrase) return std::nullopt;
  const Secret key = wrapping_key(slot, unlocker);
  const base::Bytes associated = associated_data(slot, config_object);
  const base::ByteView wrapped(slot.wrapped);
  Secret master(k_key_bytes);
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(
          raw(master.span()), nullptr, nullptr, raw(wrapped.subspan(k_nonce_bytes)), wrapped.size() - k_nonce_bytes,
          raw(base::ByteView(associated)), associated.size(), raw(wrapped), raw(key.view())) != 0) {
    return std::nullopt;
  }
  return master;
}

}  // namespace icecore::repository
