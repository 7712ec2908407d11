// SPDX-License-Identifier: Apache-2.0
#include "repository/publish_check.hpp"

#include <set>

#include "base/log.hpp"
#include "repository/block_reader.hpp"
#include "repository/prune_mark.hpp"

namespace icecore::repository {

namespace {

constexpr int k_looks_max = 10;
// At once, for memory: those of a whole TiB may be missing. What is beyond comes in the next turn.
constexpr std::size_t k_missing_max = 256 * 1024;

class MissingBlocks {
 public:
  MissingBlocks(Repository& repository, const std::function<void()>& tick)
      : repository_(repository), tick_(tick), reader_(repository) {}

  std::set<BlockName> of(const Manifest& manifest) {
    for (const ManifestDisk& disk : manifest.disks) visit(disk.image.root, disk.image.height);
    for (const ManifestBlob& blob : manifest.blobs) visit(blob.image.root, blob.image.height);
    return std::move(missing_);
  }

 private:
  // level 0: a block of data.
  void visit(const BlockName& name, unsigned level) {
    if (name.is_zero()) return;
    if (!repository_.locate(name)) {
      if (missing_.size() < k_missing_max) missing_.insert(name);
      return;
    }
    if (level == 0 || !visited_.emplace(level, name).second) return;
    tick_();
    for (const BlockName& child : decode_node(name, reader_.read_block(name), repository_.config().fan_out)) {
      visit(child, level - 1);
    }
  }

  Repository& repository_;
  const std::function<void()>& tick_;
  BlockReader reader_;
  std::set<std::pair<unsigned, BlockName>> visited_;
  std::set<BlockName> missing_;
};

}  // namespace

std::size_t count_gone_blocks(Repository& repository, const Manifest& manifest) {
  if (repository.index_still_holds()) return 0;
  base::log_info("the index changed while '{}' was backed up; its blocks are looked up again", manifest.domain_name);
  return look_blocks_up(repository, manifest);
}

std::size_t look_blocks_up(Repository& repository, const Manifest& manifest, const std::function<void()>& tick) {
  for (int looks = 1;; ++looks) {
    const std::string generation = repository.refresh_index();
    std::set<BlockName> missing = MissingBlocks(repository, tick).of(manifest);
    // Another process began to bring the index in again: what it had not got to yet only seemed to be missing.
    const bool may_be_there = repository.index().generation() != generation && looks < k_looks_max;
    if (!missing.empty() && may_be_there) continue;
    const std::size_t wanted = missing.size();
    // Each turn may uncover nodes whose children are missing too; it ends because packs do.
    if (wanted == 0 || rescue_marked_packs(repository, missing) == 0) return wanted;
  }
}

}  // namespace icecore::repository
