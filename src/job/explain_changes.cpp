// SPDX-License-Identifier: Apache-2.0
#include "job/explain_changes.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"
#include "disk/dirty_bitmap.hpp"
#include "disk/layer_extents.hpp"
#include "job/bitmap_name.hpp"
#include "job/change_map.hpp"
#include "job/overlay_place.hpp"
#include "staging/spooled_storage.hpp"
#include "storage/local_folder.hpp"

namespace icecore::job {

using base::Fault;

namespace {

class ChangeExplainer {
 public:
  ChangeExplainer(repository::Repository& repository, const std::string& uuid, bool running, std::stop_token stop)
      : repository_(repository), parents_(repository, uuid), running_(running), stop_(std::move(stop)) {
    for (const std::string& object : repository::list_manifest_objects(repository, uuid))
      bitmaps_.push_back(bitmap_name(repository.config().repository_id, repository::point_of_manifest(object)));
  }

  void explain(ExplainedDisk& disk) {
    if (disk.planned.home.path.empty()) {
      const std::string told = disk.planned.keeps_overlay ? "a layer is kept from this point on; until now: " : "";
      return explain_bitmap(disk, disk.planned, disk.chain.front().image, told);
    }
    if (disk.planned.keeps_overlay) return explain_layer(disk);
    explain_bitmap(disk, at_home(disk.planned), disk.chain.at(1).image, "");
  }

 private:
  void explain_bitmap(ExplainedDisk& disk, const PlannedDisk& planned, const disk::ImageInfo& image,
                      const std::string& told) {
    const Choice choice = parents_.choose(planned, running_ ? as_if_closed(image) : image);
    disk.change_map_reason = told + choice.reason;
    if (!choice.parent) return scan(disk, planned, image);
    disk.change_map = "bitmap";
    disk.parent = choice.parent->point_id;
    if (running_) {
      disk.change_map_reason += ", if that is sound: QEMU has the image open and alone knows; else all is read";
    } else {
      count(disk, image, *choice.parent);
    }
  }

  void explain_layer(ExplainedDisk& disk) {
    const disk::ImageInfo& layer = disk.chain.front().image;
    const Choice choice = parents_.choose_by_layer(disk.planned, layer);
    disk.change_map_reason = choice.reason;
    disk.change_map = choice.parent ? "layer" : "scan";
    if (!choice.parent) return;
    disk.parent = choice.parent->point_id;
    if (!running_) count(disk, layer, *choice.parent);
  }

  // The disk as it will be once its layer has been merged, with which the backup begins.
  static PlannedDisk at_home(const PlannedDisk& planned) {
    PlannedDisk home = planned;
    home.base_path = planned.home.path;
    home.format = planned.home.format;
    home.chain.erase(home.chain.begin());
    return home;
  }

  // What QEMU has open is marked as in use, sound or not.
  static disk::ImageInfo as_if_closed(const disk::ImageInfo& image) {
    disk::ImageInfo closed = image;
    for (disk::ImageBitmap& bitmap : closed.bitmaps) bitmap.in_use = false;
    return closed;
  }

  void scan(ExplainedDisk& disk, const PlannedDisk& planned, const disk::ImageInfo& image) {
    disk.change_map = "scan";
    disk.read_bytes = std::nullopt;
    if (running_ && parents_.choose(planned, with_all_bitmaps(image)).parent)
      disk.change_map_reason += ", as far as its file tells; QEMU may hold what it has not stored yet";
  }

  disk::ImageInfo with_all_bitmaps(const disk::ImageInfo& image) const {
    disk::ImageInfo all = image;
    all.bitmaps.clear();
    for (const std::string& name : bitmaps_) all.bitmaps.push_back({.name = name, .recording = true});
    return all;
  }

  void count(ExplainedDisk& disk, const disk::ImageInfo& image, const Parent& parent) {
    try {
      const std::uint64_t grown = image.virtual_size - std::min(image.virtual_size, parent.image.disk_size);
      disk.read_bytes = grown + disk::total_bytes(changes_of(image, parent));
    } catch (const base::Error& error) {
      if (error.fault() == Fault::cancelled) throw;
      base::log_info("what has changed in '{}' is not known: {}", image.path.string(), error.what());
    }
  }

  std::vector<disk::Extent> changes_of(const disk::ImageInfo& image, const Parent& parent) const {
    const std::uint64_t block_bytes = repository_.config().block_bytes;
    return parent.bitmap.empty() ? disk::read_layer_extents(image, block_bytes, stop_)
                                 : disk::read_dirty_bitmap(image, parent.bitmap, block_bytes, stop_);
  }

  repository::Repository& repository_;
  Parents parents_;
  bool running_;
  std::stop_token stop_;
  std::vector<std::string> bitmaps_;  // of all points
};

// Where the new blocks are written first, if that is on this host.
std::optional<std::filesystem::path> first_place(repository::Repository& repository) {
  if (staging::SpooledStorage* const spooled = staging::spooled(repository.storage())) return spooled->spool().folder();
  if (const auto* const local = dynamic_cast<storage::LocalFolder*>(&repository.storage()))
    return local->file_of("config").parent_path();
  return std::nullopt;
}

}  // namespace

void explain_changes(Explanation& explanation, repository::Repository& repository, const BackupOptions& options,
                     const std::stop_token& stop) {
  explanation.repository = repository.storage().url();
  if (const auto place = first_place(repository)) explanation.repository_free_bytes = free_space(*place).first;
  if (options.change_map == ChangeMap::scan) return;
  const bool running = explanation.state != hypervisor::DomainState::shut_off;
  ChangeExplainer explainer(repository, explanation.uuid, running, stop);
  for (ExplainedDisk& disk : explanation.disks) {
    if (disk.verdict.verdict == hypervisor::Verdict::include && !disk.chain.empty() && !disk.stays_on_layer)
      explainer.explain(disk);
  }
}

std::uint64_t read_bytes_max(const std::vector<disk::ImageInfo>& chain) {
  std::uint64_t sum = 0;
  for (const disk::ImageInfo& layer : chain) {
    // Nobody knows what of a device is in use.
    sum += std::filesystem::is_block_file(layer.path) ? layer.virtual_size : layer.actual_size;
  }
  return std::min(sum, chain.front().virtual_size);
}

}  // namespace icecore::job
