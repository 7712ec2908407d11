// SPDX-License-Identifier: Apache-2.0
#include "job/increment.hpp"

#include "base/error.hpp"
#include "base/log.hpp"
#include "disk/dirty_bitmap.hpp"
#include "disk/layer_extents.hpp"
#include "job/recheck.hpp"

namespace icecore::job {

using base::Fault;

namespace {

// What lies behind the old end, and the block that was cut off there, was never in the old point.
std::vector<disk::Extent> with_growth(const std::vector<disk::Extent>& changed, std::uint64_t old_size,
                                      std::uint64_t size, std::uint64_t block_bytes) {
  if (old_size >= size) return changed;
  const std::uint64_t grown_from = old_size / block_bytes * block_bytes;
  disk::DirtyExtents all(size, block_bytes, disk::DirtyExtents::k_count_max + 1);
  for (const disk::Extent& extent : changed) {
    if (extent.offset < grown_from) all.add({extent.offset, std::min(extent.end(), grown_from) - extent.offset});
  }
  all.add({grown_from, size - grown_from});
  return all.take();
}

// Whether the change map is what the frozen layer holds. Not for a copy: it looks on, and leaves the line as it is.
bool reads_layer(const PlannedDisk& disk, const BackupOptions& options) {
  return options.change_map == ChangeMap::layer && disk.keeps_overlay && !disk.home.path.empty();
}

}  // namespace

Increments::Increments(repository::Repository& repository, const BackupOptions& options, JobNotes& notes,
                       std::stop_token stop)
    : repository_(repository), options_(options), notes_(notes), stop_(std::move(stop)) {}

std::optional<Increment> Increments::choose(const std::string& domain_uuid, const PlannedDisk& disk,
                                            const disk::ImageInfo& frozen, disk::DiskSource& source,
                                            repository::ManifestDisk& entry) {
  entry.change_map = "scan";
  std::optional<Increment> increment;
  try {
    const Choice choice = choose_parent(domain_uuid, disk, frozen);
    entry.change_map_reason = choice.reason;
    if (disk.keeps_overlay && disk.home.path.empty())
      entry.change_map_reason = "a layer is kept from this point on; until now: " + choice.reason;
    if (choice.parent) increment = make(*choice.parent, disk, frozen, source, entry);
  } catch (const base::Error& error) {
    if (error.fault() == Fault::cancelled) throw;
    base::log_warning("disk '{}' is read in full: {}", disk.target, error.what());
    entry.change_map_reason = error.what();
  }
  if (increment) entry.change_map = reads_layer(disk, options_) ? "layer" : "bitmap";
  if (!increment && (options_.change_map == ChangeMap::bitmap || reads_layer(disk, options_)))
    notes_.add(fmt::format("disk '{}' was read in full: {}", disk.target, entry.change_map_reason));
  return increment;
}

Choice Increments::choose_parent(const std::string& domain_uuid, const PlannedDisk& disk,
                                 const disk::ImageInfo& frozen) {
  if (options_.change_map == ChangeMap::scan) return {.reason = "asked for"};
  if (!parents_) parents_.emplace(repository_, domain_uuid);
  return reads_layer(disk, options_) ? parents_->choose_by_layer(disk, frozen) : parents_->choose(disk, frozen);
}

std::optional<Increment> Increments::make(const Parent& parent, const PlannedDisk& disk, const disk::ImageInfo& frozen,
                                          disk::DiskSource& source, repository::ManifestDisk& entry) {
  const std::uint64_t block_bytes = repository_.config().block_bytes;
  Increment increment{.base = parent.image};
  const std::vector<disk::Extent> changed = parent.bitmap.empty()
                                                ? disk::read_layer_extents(frozen, block_bytes, stop_)
                                                : disk::read_dirty_bitmap(frozen, parent.bitmap, block_bytes, stop_);
  increment.changed = with_growth(changed, parent.image.disk_size, source.size(), block_bytes);
  const Recheck recheck = recheck_unchanged(source, repository_, increment, options_.recheck_per_mille, stop_);
  entry.bytes_read += recheck.bytes_read;
  if (recheck.mismatch.empty()) return increment;
  const std::string map = parent.bitmap.empty() ? "layer" : fmt::format("bitmap '{}'", parent.bitmap);
  const std::string text = fmt::format("the {} of disk '{}' ('{}') cannot be trusted, the disk was read in full: {}",
                                       map, disk.target, disk.base_path.string(), recheck.mismatch);
  base::log_warning("{}", text);
  notes_.add(text);
  entry.change_map_reason =
      fmt::format("the {} cannot be trusted: {}", parent.bitmap.empty() ? "layer" : "bitmap", recheck.mismatch);
  return std::nullopt;
}

}  // namespace icecore::job
