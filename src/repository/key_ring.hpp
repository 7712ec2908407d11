// SPDX-License-Identifier: Apache-2.0
// The keys in use while a repository is open, and everything done with them: naming blocks, sealing
// frames and envelopes. An unencrypted repository has the same ring made from a public master key, and
// checksums in the place of authentication tags. Written in FORMAT.md, "Keys".
//
// Threads: all methods are const and may run in several threads at once.
#pragma once

#include <span>

#include "base/buffer.hpp"
#include "repository/block_name.hpp"
#include "repository/secret.hpp"

namespace icecore::repository {

constexpr std::size_t k_key_bytes = 32;
constexpr std::size_t k_nonce_bytes = 24;
constexpr std::size_t k_tag_bytes = 16;
constexpr std::size_t k_checksum_bytes = 32;

using Digest = std::array<std::byte, 32>;

class KeyRing {
 public:
  // Derives the working keys; the master key itself is not kept.
  KeyRing(const Secret& master, bool encrypted);
  // The ring of unencrypted repositories, and of the objects every repository keeps readable.
  static KeyRing unencrypted();

  bool encrypted() const noexcept { return encrypted_; }

  BlockName name_of(base::ByteView block) const;
  // names[i] = name_of(blocks[i]), several blocks at once where the processor can: about seven times as
  // fast as one by one.
  void names_of(std::span<const base::ByteView> blocks, std::span<BlockName> names) const;

  // How many bytes seal_frame() adds.
  std::size_t frame_overhead() const noexcept { return encrypted_ ? k_nonce_bytes + k_tag_bytes : 0; }
  // nonce | ciphertext | tag, or a copy of payload when unencrypted.
  base::Buffer seal_frame(base::ByteView payload, base::ByteView associated) const;
  // The payload. False: damaged, or sealed with another key. Unencrypted: a copy, always true, because
  // the reader compares every block with its name anyway.
  [[nodiscard]] bool open_frame(base::ByteView stored, base::ByteView associated, base::Buffer& payload) const;

  // Bytes behind the payload of an envelope: a tag or a checksum.
  std::size_t envelope_tail() const noexcept { return encrypted_ ? k_tag_bytes : k_checksum_bytes; }
  // `text` is overwritten by its ciphertext (unencrypted: left alone) and the tail returned. `header` is
  // authenticated with `name`, so neither a changed header nor an object moved to another name opens.
  base::Bytes seal_envelope(base::ByteSpan text, base::ByteView header, base::ByteView nonce,
                            std::string_view name) const;
  // The reverse, in place. False: damaged, renamed, or of another key.
  [[nodiscard]] bool open_envelope(base::ByteSpan text, base::ByteView tail, base::ByteView header,
                                   base::ByteView nonce, std::string_view name) const;

 private:
  Secret name_key_;
  Secret frame_key_;
  Secret envelope_key_;
  bool encrypted_;
};

// BLAKE2b-256 over the parts, one after another; what `b2sum -l 256` prints.
Digest digest_of(std::span<const base::ByteView> parts);
// The name of a pack: BLAKE2b-256 over the lines (64 hex digits, newline) of the BLAKE2b-256 of each MiB of
// it. The MiBs can be hashed side by side, which makes it seven times as fast as one hash of the whole.
Digest piecewise_digest_of(base::ByteView bytes);
// BLAKE2b-256 with a key of 16 to 64 bytes.
Digest keyed_digest_of(base::ByteView key, std::span<const base::ByteView> parts);
void fill_random(base::ByteSpan bytes);

}  // namespace icecore::repository
