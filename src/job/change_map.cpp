// SPDX-License-Identifier: Apache-2.0
#include "job/change_map.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/id.hpp"
#include "base/log.hpp"
#include "disk/dirty_bitmap.hpp"
#include "job/bitmap_name.hpp"
#include "repository/damage_mark.hpp"

namespace icecore::job {

using base::Fault;
using repository::Manifest;
using repository::ManifestDisk;

namespace {

bool has_bitmap_of(const disk::ImageInfo& image, const std::string& point_id) {
  return std::any_of(image.bitmaps.begin(), image.bitmaps.end(),
                     [&](const disk::ImageBitmap& bitmap) { return bitmap.name.ends_with("-" + point_id); });
}

}  // namespace

std::string no_bitmap_reason(const disk::ImageInfo& image) {
  if (image.format != "qcow2") return fmt::format("{} has no bitmaps", image.format);
  // What is stored is the image's file, and bitmaps tell of what is in it.
  if (image.encrypted) return "QEMU encrypts it, and no bitmap tells which parts of its file have changed";
  if (image.compat == "0.10") return "qcow2 of the old version (compat 0.10) has no bitmaps";
  if (image.external_data) return "the image keeps its data in another file, which has no bitmaps";
  // QEMU refuses to go back to one while there is a bitmap, and ends the domain at that.
  if (!image.internal_snapshots.empty())
    return "the image has internal snapshots, which bitmaps would stand in the way of";
  return "";
}

std::string lineage_of(const repository::Repository& repository, const disk::ChainFingerprint& chain) {
  disk::ChainFingerprint known = chain;
  if (!known.empty()) {
    known.front().virtual_size = 0;
    known.front().modified_ns = 0;
  }
  const std::string text = disk::to_json(known).dump(-1, ' ', false, base::Json::error_handler_t::replace);
  return repository.keys().name_of(std::as_bytes(std::span(text))).hex();
}

Parents::Parents(repository::Repository& repository, const std::string& domain_uuid) : repository_(repository) {
  for (std::string& object : repository::list_manifest_objects(repository, domain_uuid))
    points_.push_back({.object = std::move(object)});
  std::reverse(points_.begin(), points_.end());
  if (!points_.empty()) damaged_ = repository::list_damaged_points(repository);
}

Choice Parents::choose(const PlannedDisk& disk, const disk::ImageInfo& frozen) {
  if (const std::string reason = no_bitmap_reason(frozen); !reason.empty()) return {.reason = reason};
  std::string reason;
  for (Point& point : points_) {
    // The newest tells why there is none; of the others only those matter that the image has a bitmap of.
    if (!reason.empty() && !has_bitmap_of(frozen, repository::point_of_manifest(point.object))) continue;
    const Manifest* manifest = load(point);
    const ManifestDisk* then = manifest == nullptr ? nullptr : manifest->find_disk(disk.target);
    if (then == nullptr) continue;
    const std::string trouble = problem(*manifest, *then, disk, frozen);
    if (trouble.empty())
      return {.parent = Parent{manifest->id, then->bitmap, then->image},
              .reason = fmt::format("what its bitmap marks as written since point {}", base::short_id(manifest->id))};
    if (reason.empty()) reason = trouble;
  }
  return {.reason = reason.empty() ? "first point of this disk" : reason};
}

const Manifest* Parents::load(Point& point) {
  if (!std::exchange(point.tried, true)) {
    try {
      point.manifest = repository::load_manifest(repository_, point.object);
    } catch (const base::Error& error) {
      if (error.fault() == Fault::cancelled) throw;
      base::log_warning("point '{}' is passed over as a base for increments: {}", point.object, error.what());
    }
  }
  return point.manifest ? &*point.manifest : nullptr;
}

// Why this point's bitmap cannot be believed; empty: it can.
std::string Parents::problem(const Manifest& point, const ManifestDisk& then, const PlannedDisk& disk,
                             const disk::ImageInfo& frozen) const {
  const std::string id = base::short_id(point.id);
  if (then.source_path != disk.base_path.string())
    return fmt::format("at point {} the disk was '{}'", id, then.source_path);
  if (then.bitmap.empty()) return fmt::format("point {} left no bitmap", id);
  if (then.format != frozen.format || then.lineage != lineage_of(repository_, disk.chain))
    return fmt::format("the image or one below it is not the same as at point {}", id);
  if (frozen.virtual_size < then.virtual_size || then.image.disk_size != then.virtual_size)
    return fmt::format("the disk is smaller than at point {}", id);
  if (damaged_.contains(point.id)) return fmt::format("point {} is damaged", id);
  if (const std::string reason = disk::bitmap_problem(frozen, then.bitmap); !reason.empty()) return reason;
  return "";
}

}  // namespace icecore::job
