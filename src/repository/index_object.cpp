// SPDX-License-Identifier: Apache-2.0
#include "repository/index_object.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "repository/envelope.hpp"

namespace icecore::repository {

namespace {

constexpr std::size_t k_pack_record_bytes = 32 + 1 + 4;

}  // namespace

std::string index_object(const std::string& id) { return "index/" + id; }

base::Bytes encode_index(const KeyRing& keys, const std::string& id, const std::vector<PackEntry>& packs) {
  base::ByteWriter writer;
  writer.u32(static_cast<std::uint32_t>(packs.size()));
  for (const PackEntry& pack : packs) {
    writer.raw(pack.id.bytes);
    writer.u8(static_cast<std::uint8_t>(pack.kind));
    encode_frames(writer, pack.frames);
  }
  return seal(keys, ObjectKind::index, index_object(id), writer.take());
}

std::vector<PackEntry> decode_index(const KeyRing& keys, const Config& config, const std::string& id,
                                    base::ByteView object) {
  const std::string what = "index '" + index_object(id) + "'";
  const base::Bytes payload = open(keys, ObjectKind::index, index_object(id), object);
  base::ByteReader reader(payload, what);
  const std::uint32_t count = reader.u32();
  if (count > reader.remaining() / k_pack_record_bytes)
    base::fail(base::Fault::corrupt, "{} lists more packs than it holds", what);
  std::vector<PackEntry> packs;
  packs.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    PackEntry pack{{reader.array<32>()}, decode_frame_kind(reader.u8(), what), {}};
    pack.frames = decode_frames(reader, config, what);
    packs.push_back(std::move(pack));
  }
  reader.expect_end();
  return packs;
}

std::vector<PackEntry> load_index(storage::Storage& storage, const KeyRing& keys, const Config& config,
                                  const std::string& id) {
  return decode_index(keys, config, id, storage.get(index_object(id), size_max(ObjectKind::index)));
}

std::vector<std::string> list_indexes(storage::Storage& storage) {
  std::vector<std::string> ids;
  for (const storage::ObjectInfo& object : storage.list("index")) {
    ids.push_back(object.name.substr(object.name.rfind('/') + 1));
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace icecore::repository
