// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "contract/storage/memory_storage.hpp"
#include "fuzz/fuzz.hpp"
#include "repository/pack_format.hpp"
#include "repository/pack_reader.hpp"

namespace {

using icecore::base::ByteView;
namespace repository = icecore::repository;

// Even first byte: the rest is the pack. Odd: two bytes length of the frames, the frames, the frame table,
// which is sealed here.
icecore::base::Bytes make_pack(const repository::KeyRing& keys, ByteView input) {
  if (input.size() < 3 || (std::to_integer<unsigned>(input[0]) & 1) == 0) {
    const ByteView rest = input.subspan(std::min<std::size_t>(1, input.size()));
    return {rest.begin(), rest.end()};
  }
  const std::size_t claimed = std::to_integer<std::size_t>(input[1]) + 256 * std::to_integer<std::size_t>(input[2]);
  const std::size_t frames = std::min(claimed, input.size() - 3);
  icecore::base::ByteWriter writer;
  writer.raw(icecore::base::as_bytes(repository::k_pack_magic));
  writer.u8(repository::k_pack_version);
  writer.u8(1);
  writer.raw(icecore::base::Bytes(repository::k_pack_header_bytes - writer.size()));
  icecore::base::Bytes pack = writer.take();
  const std::string name = repository::footer_name(pack);
  const auto append = [&](ByteView bytes) { pack.insert(pack.end(), bytes.begin(), bytes.end()); };
  append(input.subspan(3, frames));
  const ByteView table = input.subspan(3 + frames);
  if (table.empty()) return pack;
  const auto footer = repository::seal(keys, repository::ObjectKind::pack_footer, name, table);
  append(footer);
  writer.u32(static_cast<std::uint32_t>(footer.size()));
  writer.raw(icecore::base::as_bytes(repository::k_pack_end_magic));
  append(writer.take());
  return pack;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const repository::KeyRing keys = repository::KeyRing::unencrypted();
  const icecore::base::Bytes pack = make_pack(keys, icecore::fuzz::view_of(data, size));
  return icecore::fuzz::judge([&] {
    const repository::PackEntry entry = repository::parse_pack(keys, {}, {}, pack);
    icecore::contract::MemoryStorage storage;
    storage.put(repository::pack_object({}), pack);
    repository::Decompressor decompressor;
    for (const repository::FrameEntry& frame : entry.frames) {
      repository::read_frame(storage, keys, {}, decompressor,
                             {{}, entry.kind, frame.offset, frame.stored_length, frame.raw_length, frame.compression});
    }
  });
}
