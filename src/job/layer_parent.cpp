// SPDX-License-Identifier: Apache-2.0
#include "job/layer_parent.hpp"

#include "base/id.hpp"
#include "job/base_use.hpp"
#include "job/change_map.hpp"
#include "job/kept_layer.hpp"

namespace icecore::job {

using repository::Manifest;
using repository::ManifestDisk;

std::string lineage_on_layer(const repository::Repository& repository, const disk::ChainFingerprint& chain) {
  disk::ChainFingerprint known = chain;
  // The layer grows, and its home is merged into: lineage_of() passes over the first one only.
  if (known.size() > 1) {
    known[1].virtual_size = 0;
    known[1].modified_ns = 0;
  }
  return lineage_of(repository, known);
}

disk::ChainFingerprint chain_on_new_layer(const PlannedDisk& disk) {
  disk::ChainFingerprint chain = {disk::fingerprint_chain(disk.overlay_path, "qcow2").front()};
  const bool base_goes = !disk.home.path.empty();
  chain.insert(chain.end(), disk.chain.begin() + (base_goes ? 1 : 0), disk.chain.end());
  return chain;
}

Choice Parents::choose_by_layer(const PlannedDisk& disk, const disk::ImageInfo& frozen) {
  const std::string run = run_of_layer(disk.base_path);
  for (Point& point : points_) {
    if (!repository::point_of_manifest(point.object).starts_with(run)) continue;
    const Manifest* manifest = load(point);
    if (manifest == nullptr) continue;
    const ManifestDisk* then = manifest->find_disk(disk.target);
    if (then == nullptr) continue;
    const std::string trouble = layer_problem(*manifest, *then, disk, frozen);
    if (!trouble.empty()) return {.reason = trouble};
    return {.parent = Parent{manifest->id, "", then->image},
            .reason = fmt::format("what its layer holds since point {}", base::short_id(manifest->id))};
  }
  return {.reason = fmt::format("the point {} that left the layer is not in this repository", run)};
}

// Why the layer does not tell what has changed since that point; empty: it does.
std::string Parents::layer_problem(const Manifest& point, const ManifestDisk& then, const PlannedDisk& disk,
                                   const disk::ImageInfo& frozen) const {
  const std::string id = base::short_id(point.id);
  if (then.layer != disk.base_path.string()) return fmt::format("point {} left no such layer", id);
  if (then.source_path != disk.home.path.string())
    return fmt::format("at point {} the disk was '{}'", id, then.source_path);
  if (then.format != disk.home.format || then.lineage != lineage_on_layer(repository_, disk.chain))
    return fmt::format("the layer or an image below it is not the same as at point {}", id);
  const std::int64_t written_ns = last_written_ns(disk.home.path);
  if (disk.home.settled_ns == 0 && written_ns != 0)
    return fmt::format("it is not known here when the image below the layer was written to last before point {}", id);
  if (written_ns != disk.home.settled_ns)
    return fmt::format("the image below the layer was written to since point {}", id);
  if (frozen.virtual_size < then.virtual_size || then.image.disk_size != then.virtual_size)
    return fmt::format("the disk is smaller than at point {}", id);
  if (damaged_.contains(point.id)) return fmt::format("point {} is damaged", id);
  return "";
}

}  // namespace icecore::job
