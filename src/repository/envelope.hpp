// SPDX-License-Identifier: Apache-2.0
// The sealed form of every object that is not a pack: header, nonce, payload, tag or checksum, bound to
// the object's name. Written in FORMAT.md, "Envelope".
#pragma once

#include <string_view>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "repository/key_ring.hpp"

namespace icecore::repository {

enum class ObjectKind : std::uint8_t {
  config = 1,
  key_slot = 2,
  index = 3,
  manifest = 4,
  lock = 5,
  pack_footer = 6,
  protection = 7,
  damage = 8,
  prune_mark = 9,
  group = 10,
};

// The word used in messages ("index", "key slot").
std::string_view to_string(ObjectKind kind) noexcept;

// The object's bytes. The payload, never empty, is compressed when that helps.
base::Bytes seal(const KeyRing& keys, ObjectKind kind, std::string_view name, base::ByteView payload);

// The payload. `name` is what the object was found under. Fault::corrupt: not an envelope of that kind,
// damaged, or moved from another name; Fault::usage: written by a newer version.
base::Bytes open(const KeyRing& keys, ObjectKind kind, std::string_view name, base::ByteView object);

// How large an object of that kind may be: the bound for reads and for decompression.
std::uint64_t size_max(ObjectKind kind) noexcept;

// A time out of an object: malformed is Fault::corrupt naming `what`.
base::Timestamp parse_stored_time(const std::string& text, std::string_view what);
// Hex digits out of an object, likewise.
base::Bytes parse_stored_hex(const std::string& text, std::string_view what);

// Throws Fault::usage naming the thing, its version and the one known here.
[[noreturn]] void fail_newer(std::string_view what, std::uint64_t version, std::uint64_t known);

}  // namespace icecore::repository
