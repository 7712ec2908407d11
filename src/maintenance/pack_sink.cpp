// SPDX-License-Identifier: Apache-2.0
#include "maintenance/pack_sink.hpp"

#include "base/failpoint.hpp"
#include "base/id.hpp"
#include "repository/index_object.hpp"

namespace icecore::maintenance {

using repository::FrameKind;
using repository::PackEntry;

void IndexSink::add(PackEntry pack) {
  blocks_ += pack.block_count();
  packs_.push_back(std::move(pack));
  if (blocks_ >= repository::k_blocks_per_index) finish();
}

void IndexSink::finish() {
  if (packs_.empty()) return;
  const std::string id = base::random_id(16);
  repository_.storage().put(repository::index_object(id), repository::encode_index(repository_.keys(), id, packs_));
  base::failpoint("maintenance.index_written");
  written_.push_back(id);
  packs_.clear();
  blocks_ = 0;
}

void PackSink::add(repository::SealedFrame frame) {
  repository::PackWriter& pack = frame.kind == FrameKind::data ? data_ : tree_;
  pack.add(repository_.config(), std::move(frame));
  if (pack.full(repository_.config())) write(pack);
}

void PackSink::finish() {
  for (repository::PackWriter* pack : {&data_, &tree_}) {
    if (!pack->empty()) write(*pack);
  }
}

void PackSink::write(repository::PackWriter& pack) {
  PackEntry entry = pack.write(repository_.storage(), repository_.keys(), bytes_);
  written_.push_back(entry.id);
  pack = repository::PackWriter(entry.kind, pack.take_memory());
  index_.add(std::move(entry));
}

}  // namespace icecore::maintenance
