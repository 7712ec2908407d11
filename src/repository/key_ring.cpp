// SPDX-License-Identifier: Apache-2.0
#include "repository/key_ring.hpp"

#include <sodium.h>

#include <algorithm>
#include <cassert>

namespace icecore::repository {

namespace {

// Subkey numbers and context are part of the format: changing one makes every repository unreadable.
constexpr char k_kdf_context[crypto_kdf_CONTEXTBYTES + 1] = "icecore1";
constexpr std::uint64_t k_name_subkey = 1;
constexpr std::uint64_t k_frame_subkey = 2;
constexpr std::uint64_t k_envelope_subkey = 3;
constexpr std::string_view k_public_master = "icecore: unencrypted repository1";

static_assert(k_key_bytes == crypto_aead_xchacha20poly1305_ietf_KEYBYTES && k_key_bytes == crypto_kdf_KEYBYTES);
static_assert(k_nonce_bytes == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
static_assert(k_tag_bytes == crypto_aead_xchacha20poly1305_ietf_ABYTES);
static_assert(k_public_master.size() == k_key_bytes);

const unsigned char* raw(base::ByteView view) { return reinterpret_cast<const unsigned char*>(view.data()); }
unsigned char* raw(base::ByteSpan span) { return reinterpret_cast<unsigned char*>(span.data()); }

Secret derive(const Secret& master, std::uint64_t subkey) {
  assert(master.size() == k_key_bytes);
  Secret key(k_key_bytes);
  crypto_kdf_derive_from_key(raw(key.span()), k_key_bytes, subkey, k_kdf_context, raw(master.view()));
  return key;
}

base::Bytes joined(base::ByteView header, std::string_view name) {
  base::Bytes bytes(header.begin(), header.end());
  const base::ByteView tail = base::as_bytes(name);
  bytes.insert(bytes.end(), tail.begin(), tail.end());
  return bytes;
}

Digest checksum(const Secret& key, base::ByteView header, base::ByteView nonce, std::string_view name,
                base::ByteView text) {
  // The name's length keeps name and text apart: "a"+"bc" is not "ab"+"c".
  base::ByteWriter length;
  length.u32(static_cast<std::uint32_t>(name.size()));
  const base::Bytes length_bytes = length.take();
  const std::array<base::ByteView, 5> parts = {header, nonce, length_bytes, base::as_bytes(name), text};
  return keyed_digest_of(key.view(), parts);
}

}  // namespace

KeyRing::KeyRing(const Secret& master, bool encrypted)
    : name_key_(derive(master, k_name_subkey)),
      frame_key_(derive(master, k_frame_subkey)),
      envelope_key_(derive(master, k_envelope_subkey)),
      encrypted_(encrypted) {}

KeyRing KeyRing::unencrypted() { return KeyRing(Secret::copy_of(base::as_bytes(k_public_master)), false); }

BlockName KeyRing::name_of(base::ByteView block) const {
  BlockName name;
  if (base::is_zero(block)) return name;
  crypto_generichash(raw(base::ByteSpan(name.bytes)), k_name_bytes, raw(block), block.size(), raw(name_key_.view()),
                     k_key_bytes);
  return name;
}

void KeyRing::names_of(std::span<const base::ByteView> blocks, std::span<BlockName> names) const {
  assert(blocks.size() == names.size());
  std::transform(blocks.begin(), blocks.end(), names.begin(), [this](base::ByteView block) { return name_of(block); });
}

base::Buffer KeyRing::seal_frame(base::ByteView payload, base::ByteView associated) const {
  base::Buffer stored(payload.size() + frame_overhead());
  if (!encrypted_) {
    std::copy(payload.begin(), payload.end(), stored.span().begin());
    return stored;
  }
  const base::ByteSpan nonce = stored.span().first(k_nonce_bytes);
  fill_random(nonce);
  crypto_aead_xchacha20poly1305_ietf_encrypt(raw(stored.span().subspan(k_nonce_bytes)), nullptr, raw(payload),
                                             payload.size(), raw(associated), associated.size(), nullptr, raw(nonce),
                                             raw(frame_key_.view()));
  return stored;
}

bool KeyRing::open_frame(base::ByteView stored, base::ByteView associated, base::Buffer& payload) const {
  if (stored.size() < frame_overhead()) return false;
  payload = base::Buffer(stored.size() - frame_overhead());
  if (!encrypted_) {
    std::copy(stored.begin(), stored.end(), payload.span().begin());
    return true;
  }
  const base::ByteView nonce = stored.first(k_nonce_bytes);
  const base::ByteView sealed = stored.subspan(k_nonce_bytes);
  return crypto_aead_xchacha20poly1305_ietf_decrypt(raw(payload.span()), nullptr, nullptr, raw(sealed), sealed.size(),
                                                    raw(associated), associated.size(), raw(nonce),
                                                    raw(frame_key_.view())) == 0;
}

base::Bytes KeyRing::seal_envelope(base::ByteSpan text, base::ByteView header, base::ByteView nonce,
                                   std::string_view name) const {
  if (!encrypted_) {
    const Digest sum = checksum(envelope_key_, header, nonce, name, text);
    return {sum.begin(), sum.end()};
  }
  base::Bytes tag(k_tag_bytes);
  const base::Bytes associated = joined(header, name);
  crypto_aead_xchacha20poly1305_ietf_encrypt_detached(raw(text), raw(base::ByteSpan(tag)), nullptr, raw(text),
                                                      text.size(), raw(base::ByteView(associated)), associated.size(),
                                                      nullptr, raw(nonce), raw(envelope_key_.view()));
  return tag;
}

bool KeyRing::open_envelope(base::ByteSpan text, base::ByteView tail, base::ByteView header, base::ByteView nonce,
                            std::string_view name) const {
  if (!encrypted_) {
    const Digest sum = checksum(envelope_key_, header, nonce, name, text);
    return std::equal(sum.begin(), sum.end(), tail.begin(), tail.end());
  }
  const base::Bytes associated = joined(header, name);
  return tail.size() == k_tag_bytes &&
         crypto_aead_xchacha20poly1305_ietf_decrypt_detached(raw(text), nullptr, raw(text), text.size(), raw(tail),
                                                             raw(base::ByteView(associated)), associated.size(),
                                                             raw(nonce), raw(envelope_key_.view())) == 0;
}

Digest digest_of(std::span<const base::ByteView> parts) { return keyed_digest_of({}, parts); }

Digest keyed_digest_of(base::ByteView key, std::span<const base::ByteView> parts) {
  ensure_sodium();
  Digest digest;
  crypto_generichash_state state;
  crypto_generichash_init(&state, key.empty() ? nullptr : raw(key), key.size(), digest.size());
  for (const base::ByteView part : parts) crypto_generichash_update(&state, raw(part), part.size());
  crypto_generichash_final(&state, raw(base::ByteSpan(digest)), digest.size());
  return digest;
}

void fill_random(base::ByteSpan bytes) {
  ensure_sodium();
  randombytes_buf(bytes.data(), bytes.size());
}

}  // namespace icecore::repository
