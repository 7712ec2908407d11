// SPDX-License-Identifier: Apache-2.0
// Writes packs and index objects for blocks that are in the repository already: what moves or gets a new index. A
// backup's blocks go through repository::BlockWriter, which leaves out what is known.
//
// Threads: one at a time.
#pragma once

#include <string>
#include <vector>

#include "repository/pack_writer.hpp"
#include "repository/repository.hpp"

namespace icecore::maintenance {

// Gathers packs into index objects of the usual size.
class IndexSink {
 public:
  explicit IndexSink(repository::Repository& repository) : repository_(repository) {}
  // Writes an index object when enough packs have come. They must be durable.
  void add(repository::PackEntry pack);
  // Writes the rest.
  void finish();
  // The ids of the objects written.
  const std::vector<std::string>& written() const noexcept { return written_; }

 private:
  repository::Repository& repository_;
  std::vector<repository::PackEntry> packs_;
  std::size_t blocks_ = 0;
  std::vector<std::string> written_;
};

class PackSink {
 public:
  // `index` gets the packs when they are durable; both outlive the sink.
  PackSink(repository::Repository& repository, IndexSink& index) : repository_(repository), index_(index) {}
  void add(repository::SealedFrame frame);
  // Writes the packs begun.
  void finish();
  const std::vector<repository::PackId>& written() const noexcept { return written_; }
  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  void write(repository::PackWriter& pack);

  repository::Repository& repository_;
  IndexSink& index_;
  repository::PackWriter data_{repository::FrameKind::data, {}};
  repository::PackWriter tree_{repository::FrameKind::tree, {}};
  std::vector<repository::PackId> written_;
  std::uint64_t bytes_ = 0;
};

}  // namespace icecore::maintenance
