// SPDX-License-Identifier: Apache-2.0
#include "maintenance/read_packs.hpp"

#include <algorithm>

#include "maintenance/repack.hpp"
#include "repository/pack_format.hpp"
#include "repository/pack_reader.hpp"

namespace icecore::maintenance {

using base::Fault;
using repository::PackId;

namespace {

class PackProof {
 public:
  PackProof(repository::Repository& repository, ReadResult& result) : repository_(repository), result_(result) {}

  // False: it is damaged, and the result says how.
  bool prove(const PackId& id, std::uint64_t size) {
    std::string reason;
    try {
      if (size > repository::pack_size_max(repository_.config()))
        base::fail(Fault::corrupt, "it is larger than any pack: {} bytes", size);
      const base::Bytes bytes = repository_.storage().get(repository::pack_object(id), size);
      if (repository::PackId{repository::piecewise_digest_of(bytes)} == id) {
        prove_frames(id, bytes, reason);  // a pack may have been written wrong
      } else {
        reason = "its content is not what its name says";
        prove_frames(id, bytes, reason);
      }
    } catch (const base::Error& error) {
      if (error.fault() != Fault::corrupt && error.fault() != Fault::not_found) throw;
      reason = error.what();
      result_.bad_footers.insert(id);
    }
    if (!reason.empty()) result_.bad.push_back({id, reason});
    return reason.empty();
  }

 private:
  void prove_frames(const PackId& id, base::ByteView bytes, std::string& reason) {
    const repository::PackEntry pack = repository::parse_pack(repository_.keys(), repository_.config(), id, bytes);
    for (const repository::FrameEntry& frame : pack.frames) {
      const std::vector<bool> good = prove_frame(pack, frame, bytes.subspan(frame.offset, frame.stored_length));
      for (std::size_t i = 0; i < good.size(); ++i) {
        if (good[i]) continue;
        result_.bad_blocks.insert({id, frame.blocks[i].name});
        reason = fmt::format("it is damaged in the frame at byte {}", frame.offset);
      }
    }
  }

  std::vector<bool> prove_frame(const repository::PackEntry& pack, const repository::FrameEntry& frame,
                                base::ByteView stored) {
    const repository::FrameLocation at{pack.id,          pack.kind,        frame.offset, frame.stored_length,
                                       frame.raw_length, frame.compression};
    try {
      const base::Buffer decoded =
          repository::decode_frame(repository_.keys(), repository_.config(), decompressor_, at, stored);
      return prove_blocks(repository_.keys(), frame, decoded.view());
    } catch (const base::Error& error) {
      if (error.fault() != Fault::corrupt) throw;
      return std::vector<bool>(frame.blocks.size(), false);
    }
  }

  repository::Repository& repository_;
  ReadResult& result_;
  repository::Decompressor decompressor_;
};

struct Turn {
  bool known_good;  // or never read
  base::Timestamp read;
  PackId id;
  auto operator<=>(const Turn&) const = default;
};

// Before all others those that were damaged: they may have been put right.
std::vector<Turn> longest_unread_first(const PackSizes& packs, const ReadHistory& history) {
  std::vector<Turn> order;
  for (const auto& [id, size] : packs) {
    const auto read = history.find(id);
    order.push_back({!read || read->good, read ? read->time : base::Timestamp{}, id});
  }
  std::sort(order.begin(), order.end());
  return order;
}

}  // namespace

ReadResult read_packs(repository::Repository& repository, const PackSizes& packs, unsigned percent,
                      ReadHistory& history, const Watch& watch) {
  watch.on_phase("read packs");
  // A size is the storage's word.
  const std::uint64_t size_max = repository::pack_size_max(repository.config());
  std::uint64_t all = 0;
  for (const auto& [id, size] : packs) all += std::min(size, size_max);
  const std::uint64_t wanted = percent == 0 ? 0 : percent == 100 ? all : all / 100 * percent + 1;
  ReadResult result;
  PackProof proof(repository, result);
  for (const Turn& turn : longest_unread_first(packs, history)) {
    if (turn.known_good && result.bytes >= wanted) break;
    watch.tick();
    const std::uint64_t size = packs.at(turn.id);
    history.add(turn.id, proof.prove(turn.id, size));
    ++result.packs;
    result.bytes += std::min(size, size_max);
    watch.on_bytes(result.bytes, std::max(wanted, result.bytes));
  }
  return result;
}

}  // namespace icecore::maintenance
