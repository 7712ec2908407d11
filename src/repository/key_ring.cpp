// SPDX-License-Identifier: Apache-2.0
#include "repository/key_ring.hpp"

#include <sodium.h>

#include <algorithm>
#include <cassert>
#include <vector>

#include "repository/blake2b_lanes.hpp"

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

void digest_one(base::ByteView key, base::ByteView input, std::byte* digest) {
  crypto_generichash(reinterpret_cast<unsigned char*>(digest), k_name_bytes, raw(input), input.size(),
                     key.empty() ? nullptr : raw(key), key.size());
}

// BLAKE2b-256 of inputs of one length, a multiple of k_blake2b_step, as many at once as there are lanes.
void digest_many(base::ByteView key, std::span<const base::ByteView> inputs, std::span<std::byte* const> digests) {
  static const Blake2bLanes lanes = blake2b_lanes();
  std::size_t at = 0;
  // Lanes left over repeat the first input; from two inputs on that is still cheaper than one by one.
  for (; lanes.lanes != 0 && inputs.size() - at >= 2; at += std::min(lanes.lanes, inputs.size() - at)) {
    std::array<const unsigned char*, k_lanes_max> from{};
    std::array<unsigned char*, k_lanes_max> to{};
    for (std::size_t lane = 0; lane < lanes.lanes; ++lane) {
      const std::size_t input = at + lane < inputs.size() ? at + lane : at;
      from[lane] = raw(inputs[input]);
      to[lane] = reinterpret_cast<unsigned char*>(digests[input]);
    }
    lanes.hash(key.empty() ? nullptr : raw(key), from.data(), inputs[at].size(), to.data());
  }
  for (; at < inputs.size(); ++at) digest_one(key, inputs[at], digests[at]);
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
  std::vector<base::ByteView> side_by_side;
  std::vector<std::byte*> digests;
  side_by_side.reserve(blocks.size());
  digests.reserve(blocks.size());
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    names[i] = BlockName{};
    if (base::is_zero(blocks[i])) continue;
    if (blocks[i].size() == blocks[0].size() && blocks[i].size() % k_blake2b_step == 0) {
      side_by_side.push_back(blocks[i]);
      digests.push_back(names[i].bytes.data());
    } else {
      names[i] = name_of(blocks[i]);
    }
  }
  digest_many(name_key_.view(), side_by_side, digests);
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

Digest piecewise_digest_of(base::ByteView bytes) {
  constexpr std::size_t k_piece = base::k_mib;
  const std::size_t whole = bytes.size() / k_piece;
  std::vector<Digest> digests(whole + (bytes.size() % k_piece != 0 ? 1 : 0));
  std::vector<base::ByteView> pieces;
  std::vector<std::byte*> outputs;
  for (std::size_t i = 0; i < whole; ++i) {
    pieces.push_back(bytes.subspan(i * k_piece, k_piece));
    outputs.push_back(digests[i].data());
  }
  digest_many({}, pieces, outputs);
  if (digests.size() > whole) digest_one({}, bytes.subspan(whole * k_piece), digests.back().data());
  std::string lines;
  for (const Digest& digest : digests) lines += base::to_hex(digest) + "\n";
  const base::ByteView text = base::as_bytes(lines);
  return digest_of(std::span(&text, 1));
}

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
