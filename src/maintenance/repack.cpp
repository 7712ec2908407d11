// SPDX-License-Identifier: Apache-2.0
#include "maintenance/repack.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace icecore::maintenance {

using base::Fault;
using repository::FrameEntry;
using repository::FrameKind;
using repository::PackEntry;

namespace {

repository::FrameLocation location_of(const PackEntry& pack, const FrameEntry& frame) {
  return {pack.id, pack.kind, frame.offset, frame.stored_length, frame.raw_length, frame.compression};
}

repository::SealedFrame copy_sealed(const PackEntry& pack, const FrameEntry& frame, base::ByteView stored) {
  repository::SealedFrame copy{pack.kind, frame, base::Buffer(stored.size())};
  std::copy(stored.begin(), stored.end(), copy.stored.span().begin());
  return copy;
}

}  // namespace

std::vector<bool> prove_blocks(const repository::KeyRing& keys, const FrameEntry& frame, base::ByteView decoded) {
  std::vector<base::ByteView> views;
  std::size_t offset = 0;
  for (const repository::FrameBlock& block : frame.blocks) {
    views.push_back(decoded.subspan(offset, block.length));
    offset += block.length;
  }
  std::vector<repository::BlockName> names(views.size());
  keys.names_of(views, names);
  std::vector<bool> good;
  for (std::size_t i = 0; i < names.size(); ++i) good.push_back(names[i] == frame.blocks[i].name);
  return good;
}

Repack::Repack(repository::Repository& repository, PackSink& sink)
    : repository_(repository), sink_(sink), data_(repository, FrameKind::data), tree_(repository, FrameKind::tree) {}

void Repack::move(const PackEntry& pack, const std::function<bool(std::size_t)>& is_live) {
  std::size_t at = 0;
  for (const FrameEntry& frame : pack.frames) {
    Wanted wanted;
    for (std::size_t i = 0; i < frame.blocks.size(); ++i) {
      const bool live = is_live(at++);
      wanted.blocks.push_back(live);
      wanted.all = wanted.all && live;
      wanted.any = wanted.any || live;
    }
    if (wanted.any) move_frame(pack, frame, wanted);
  }
}

void Repack::move_frame(const PackEntry& pack, const FrameEntry& frame, const Wanted& wanted) {
  const base::Bytes stored = fetch(pack, frame);
  const base::Buffer decoded = decode(pack, frame, stored);
  const std::vector<bool> good = prove_blocks(repository_.keys(), frame, decoded.view());
  for (std::size_t i = 0; i < good.size(); ++i) {
    if (wanted.blocks[i] && !good[i]) {
      base::fail(Fault::corrupt, "block {} of pack {} is not what its name says", frame.blocks[i].name.hex(),
                 pack.id.hex());
    }
  }
  hand_on(pack, frame, stored, decoded.view(), wanted);
}

std::size_t Repack::salvage(const PackEntry& pack) {
  std::size_t lost = 0;
  for (const FrameEntry& frame : pack.frames) {
    try {
      lost += salvage_frame(pack, frame);
    } catch (const base::Error& error) {
      if (error.fault() != Fault::corrupt && error.fault() != Fault::not_found) throw;
      lost += frame.blocks.size();
    }
  }
  return lost;
}

std::size_t Repack::salvage_frame(const PackEntry& pack, const FrameEntry& frame) {
  const base::Bytes stored = fetch(pack, frame);
  const base::Buffer decoded = decode(pack, frame, stored);
  Wanted wanted{prove_blocks(repository_.keys(), frame, decoded.view())};
  const auto good = static_cast<std::size_t>(std::count(wanted.blocks.begin(), wanted.blocks.end(), true));
  wanted.any = good > 0;
  wanted.all = good == wanted.blocks.size();
  hand_on(pack, frame, stored, decoded.view(), wanted);
  return wanted.blocks.size() - good;
}

void Repack::hand_on(const PackEntry& pack, const FrameEntry& frame, base::ByteView stored, base::ByteView decoded,
                     const Wanted& wanted) {
  if (wanted.all) return sink_.add(copy_sealed(pack, frame, stored));
  repository::FrameBuilder& builder = pack.kind == FrameKind::data ? data_ : tree_;
  std::size_t offset = 0;
  for (std::size_t i = 0; i < frame.blocks.size(); ++i) {
    const repository::FrameBlock& block = frame.blocks[i];
    if (wanted.blocks[i]) {
      if (auto full = builder.add(block.name, decoded.subspan(offset, block.length))) sink_.add(std::move(*full));
    }
    offset += block.length;
  }
}

void Repack::finish() {
  for (repository::FrameBuilder* builder : {&data_, &tree_}) {
    if (auto rest = builder->flush()) sink_.add(std::move(*rest));
  }
}

base::Bytes Repack::fetch(const PackEntry& pack, const FrameEntry& frame) {
  return repository_.storage().get_range(repository::pack_object(pack.id), frame.offset, frame.stored_length);
}

base::Buffer Repack::decode(const PackEntry& pack, const FrameEntry& frame, base::ByteView stored) {
  return repository::decode_frame(repository_.keys(), repository_.config(), decompressor_, location_of(pack, frame),
                                  stored);
}

}  // namespace icecore::maintenance
