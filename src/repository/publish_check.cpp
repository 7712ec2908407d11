// SPDX-License-Identifier: Apache-2.0
#include "repository/publish_check.hpp"

#include <set>

#include "base/error.hpp"
#include "base/log.hpp"
#include "repository/block_reader.hpp"
#include "repository/prune_mark.hpp"

namespace icecore::repository {

namespace {

class MissingBlocks {
 public:
  explicit MissingBlocks(Repository& repository) : repository_(repository), reader_(repository) {}

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
      missing_.insert(name);
      return;
    }
    if (level == 0 || !visited_.emplace(level, name).second) return;
    for (const BlockName& child : decode_node(name, reader_.read_block(name), repository_.config().fan_out)) {
      visit(child, level - 1);
    }
  }

  Repository& repository_;
  BlockReader reader_;
  std::set<std::pair<unsigned, BlockName>> visited_;
  std::set<BlockName> missing_;
};

}  // namespace

void prove_blocks_are_indexed(Repository& repository, const Manifest& manifest) {
  if (repository.index_still_holds()) return;
  base::log_info("the index changed while '{}' was backed up; its blocks are looked up again", manifest.domain_name);
  for (;;) {
    repository.refresh_index();
    std::set<BlockName> missing = MissingBlocks(repository).of(manifest);
    if (missing.empty()) return;
    const std::size_t wanted = missing.size();
    // Each turn may uncover nodes whose children are missing too; it ends because packs do.
    if (rescue_marked_packs(repository, missing) > 0) continue;
    throw base::Error(base::Fault::conflict, fmt::format("a prune removed {} blocks that this backup of '{}' relied on",
                                                         wanted, manifest.domain_name))
        .add_hint("run the backup again");
  }
}

}  // namespace icecore::repository
