// SPDX-License-Identifier: Apache-2.0
#include "staging/kept_points.hpp"

#include <algorithm>
#include <set>

#include "repository/block_reader.hpp"
#include "repository/image_tree.hpp"

namespace icecore::staging {

using repository::BlockName;

namespace {

constexpr std::uint64_t k_object_bytes_max = 1024 * base::k_mib;

// The packs that hold the blocks and the tree nodes of a point.
class NeededPacks {
 public:
  explicit NeededPacks(repository::Repository& repository) : repository_(repository), reader_(repository) {}

  std::set<std::string> of(const repository::Manifest& point) {
    for (const repository::ManifestDisk& disk : point.disks) visit(disk.image.root, disk.image.height);
    for (const repository::ManifestBlob& blob : point.blobs) visit(blob.image.root, blob.image.height);
    return std::move(packs_);
  }

 private:
  void visit(const BlockName& name, unsigned level) {  // level 0: a block of data
    if (name.is_zero()) return;
    packs_.insert(repository::pack_object(reader_.locate_or_fail(name).frame.pack));
    if (level == 0) return;
    const auto children = repository::decode_node(name, reader_.read_block(name), repository_.config().fan_out);
    for (const BlockName& child : children) visit(child, level - 1);
  }

  repository::Repository& repository_;
  repository::BlockReader reader_;
  std::set<std::string> packs_;
};

std::string folder_of(const std::string& name) { return name.substr(0, name.rfind('/')); }

// Here with its bytes and its row. Objects before their row, so that the row never lies.
void keep_object(SpooledStorage& storage, const std::string& manifest, const std::string& name) {
  Spool& spool = storage.spool();
  spool.queue().keep(manifest, name);
  if (spool.queue().find(name) && spool.objects().exists(name)) return;  // its state follows when it is published
  const base::Bytes bytes = storage.get(name, k_object_bytes_max);
  spool.objects().put(name, bytes);
  spool.queue().add_kept(name, bytes.size());
}

void stop_keeping(Spool& spool, const std::string& manifest) {
  spool.queue().stop_keeping(manifest);
  for (const QueuedObject& object : spool.queue().in_state(ObjectState::kept)) {
    if (!spool.queue().is_kept(object.name)) spool.drop(object);
  }
}

}  // namespace

void keep_newest(SpooledStorage& storage, repository::Repository& repository, const std::string& manifest,
                 unsigned count) {
  Spool& spool = storage.spool();
  const std::string folder = folder_of(manifest);
  std::vector<std::string> newest = repository::list_manifest_objects(repository, folder.substr(folder.find('/') + 1));
  newest.erase(newest.begin(), newest.end() - static_cast<std::ptrdiff_t>(std::min<std::size_t>(newest.size(), count)));
  for (const std::string& name : newest) {
    if (spool.queue().is_kept(name)) continue;
    for (const std::string& pack : NeededPacks(repository).of(repository::load_manifest(repository, name)))
      keep_object(storage, name, pack);
    keep_object(storage, name, name);  // last: a manifest that is kept is kept whole
  }
  for (const std::string& kept : spool.queue().kept_manifests(folder)) {
    if (std::find(newest.begin(), newest.end(), kept) == newest.end()) stop_keeping(spool, kept);
  }
}

}  // namespace icecore::staging
