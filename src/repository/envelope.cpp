// SPDX-License-Identifier: Apache-2.0
#include "repository/envelope.hpp"

#include <algorithm>
#include <cassert>

#include "base/error.hpp"
#include "repository/compression.hpp"

namespace icecore::repository {

using base::Fault;

namespace {

constexpr std::string_view k_magic("icecore\0", 8);
constexpr std::uint8_t k_version = 1;
constexpr std::uint8_t k_flag_compressed = 1;
constexpr std::uint8_t k_flag_encrypted = 2;
constexpr std::size_t k_header_bytes = 16;
constexpr int k_level = 3;

base::Bytes make_header(ObjectKind kind, std::uint8_t flags, std::size_t raw_length) {
  base::ByteWriter writer;
  writer.raw(base::as_bytes(k_magic));
  writer.u8(static_cast<std::uint8_t>(kind));
  writer.u8(k_version);
  writer.u8(flags);
  writer.u8(0);
  writer.u32(static_cast<std::uint32_t>(raw_length));
  return writer.take();
}

struct Header {
  bool compressed = false;
  std::uint32_t raw_length = 0;
};

std::string label(ObjectKind kind, std::string_view name) { return fmt::format("{} '{}'", to_string(kind), name); }

Header read_header(const KeyRing& keys, ObjectKind kind, const std::string& what, base::ByteView bytes) {
  base::ByteReader reader(bytes, what);
  if (base::to_string(reader.raw(k_magic.size())) != k_magic)
    base::fail(Fault::corrupt, "{} is not an icecore object", what);
  if (reader.u8() != static_cast<std::uint8_t>(kind))
    base::fail(Fault::corrupt, "{} is an object of another kind", what);
  if (const std::uint8_t version = reader.u8(); version != k_version) {
    if (version > k_version) fail_newer(what, version, k_version);
    base::fail(Fault::corrupt, "{} has the impossible version {}", what, version);
  }
  const std::uint8_t flags = reader.u8();
  // An unencrypted object in an encrypted repository is a forgery: anyone can compute its checksum.
  const bool encrypted = (flags & k_flag_encrypted) != 0;
  if ((flags & ~(k_flag_compressed | k_flag_encrypted)) != 0 || reader.u8() != 0 || encrypted != keys.encrypted()) {
    base::fail(Fault::corrupt, "{} has flags this repository cannot have", what);
  }
  const Header header{(flags & k_flag_compressed) != 0, reader.u32()};
  if (header.raw_length > size_max(kind)) {
    base::fail(Fault::corrupt, "{} claims to hold {} bytes, more than the {} allowed", what, header.raw_length,
               size_max(kind));
  }
  return header;
}

base::Bytes unpack(const Header& header, const std::string& what, base::Bytes payload) {
  if (!header.compressed) {
    if (payload.size() != header.raw_length) base::fail(Fault::corrupt, "{} has not the length it claims", what);
    return payload;
  }
  base::Bytes raw(header.raw_length);
  if (!Decompressor().decompress(payload, raw)) base::fail(Fault::corrupt, "{} does not decompress", what);
  return raw;
}

}  // namespace

std::string_view to_string(ObjectKind kind) noexcept {
  switch (kind) {
    case ObjectKind::config: return "config";
    case ObjectKind::key_slot: return "key slot";
    case ObjectKind::index: return "index";
    case ObjectKind::manifest: return "manifest";
    case ObjectKind::lock: return "lock";
    case ObjectKind::pack_footer: return "footer of pack";
    case ObjectKind::protection: return "protection";
    case ObjectKind::damage: return "damage record";
    case ObjectKind::prune_mark: return "prune mark";
    case ObjectKind::group: return "group";
  }
  return "object";
}

std::uint64_t size_max(ObjectKind kind) noexcept {
  switch (kind) {
    case ObjectKind::index:
    case ObjectKind::pack_footer: return 64 * base::k_mib;
    case ObjectKind::manifest:
    case ObjectKind::damage:
    case ObjectKind::prune_mark:
    case ObjectKind::group: return 64 * base::k_mib;
    case ObjectKind::config:
    case ObjectKind::key_slot:
    case ObjectKind::lock:
    case ObjectKind::protection: return 64 * base::k_kib;
  }
  return 0;
}

base::Bytes seal(const KeyRing& keys, ObjectKind kind, std::string_view name, base::ByteView payload) {
  assert(!payload.empty());
  if (payload.size() > size_max(kind)) {
    base::fail(Fault::internal, "{} would hold {} bytes, more than the {} allowed", label(kind, name), payload.size(),
               size_max(kind));
  }
  base::Buffer scratch;
  const base::ByteView packed = Compressor(k_level).compress(payload, scratch);
  const base::ByteView stored = packed.empty() ? payload : packed;
  const int flags = (packed.empty() ? 0 : k_flag_compressed) | (keys.encrypted() ? k_flag_encrypted : 0);
  base::Bytes object = make_header(kind, static_cast<std::uint8_t>(flags), payload.size());
  object.resize(k_header_bytes + k_nonce_bytes);
  const base::ByteSpan nonce = base::ByteSpan(object).subspan(k_header_bytes);
  if (keys.encrypted()) fill_random(nonce);
  object.insert(object.end(), stored.begin(), stored.end());
  const base::ByteSpan whole(object);
  const base::Bytes tail =
      keys.seal_envelope(whole.subspan(k_header_bytes + k_nonce_bytes), whole.first(k_header_bytes),
                         whole.subspan(k_header_bytes, k_nonce_bytes), name);
  object.insert(object.end(), tail.begin(), tail.end());
  return object;
}

base::Bytes open(const KeyRing& keys, ObjectKind kind, std::string_view name, base::ByteView object) {
  const std::string what = label(kind, name);
  const Header header = read_header(keys, kind, what, object);
  const std::size_t fixed = k_header_bytes + k_nonce_bytes + keys.envelope_tail();
  if (object.size() <= fixed) base::fail(Fault::corrupt, "{} is cut off after {} bytes", what, object.size());
  const base::ByteView text = object.subspan(k_header_bytes + k_nonce_bytes, object.size() - fixed);
  base::Bytes payload(text.begin(), text.end());
  const base::ByteView nonce = object.subspan(k_header_bytes, k_nonce_bytes);
  if (!keys.open_envelope(payload, object.last(keys.envelope_tail()), object.first(k_header_bytes), nonce, name)) {
    base::fail(Fault::corrupt, "{} is damaged, altered or not the object of that name", what);
  }
  return unpack(header, what, std::move(payload));
}

base::Timestamp parse_stored_time(const std::string& text, std::string_view what) {
  try {
    return base::parse_time(text);
  } catch (const base::Error& error) {
    base::fail(Fault::corrupt, "{}: {}", what, error.what());
  }
}

base::Bytes parse_stored_hex(const std::string& text, std::string_view what) {
  if (text.size() % 2 != 0 || text.find_first_not_of("0123456789abcdef") != std::string::npos) {
    base::fail(Fault::corrupt, "{}: '{}' are no hex digits", what, text);
  }
  return base::from_hex(text);
}

void fail_newer(std::string_view what, std::uint64_t version, std::uint64_t known) {
  throw base::Error(Fault::usage, fmt::format("{} has format version {}, newer than the {} known to this icecore", what,
                                              version, known))
      .add_hint("upgrade icecore on this host");
}

}  // namespace icecore::repository
