// SPDX-License-Identifier: Apache-2.0
#include "job/explain_disk.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "base/bytes.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/file_use.hpp"
#include "job/change_map.hpp"
#include "job/disk_choice.hpp"
#include "job/encrypted_disk.hpp"
#include "job/explain_changes.hpp"
#include "job/kept_layer.hpp"
#include "job/layer_since.hpp"
#include "job/overlay_place.hpp"

namespace icecore::job {

using hypervisor::DiskModel;
using hypervisor::SourceKind;
using hypervisor::Verdict;

namespace {

std::string describe_source(const hypervisor::ImageSource& source) {
  if (source.kind == SourceKind::none) return {};
  if (source.kind == SourceKind::volume)
    return fmt::format("volume '{}' of pool '{}'{}", source.volume, source.pool,
                       source.path.empty() ? "" : ": " + source.path);
  return source.path.empty() ? std::string(to_string(source.kind)) : source.path;
}

ExplainedDisk told_with(const DiskModel& model, hypervisor::DiskVerdict verdict) {
  ExplainedDisk disk;
  disk.target = model.target;
  disk.bus = model.bus;
  disk.source = describe_source(model.source);
  disk.verdict = std::move(verdict);
  return disk;
}

std::vector<std::string> images_below(const std::string& path, const std::string& format) {
  std::vector<std::string> paths;
  try {
    for (const disk::ImageInfo& layer : disk::inspect_chain(path, format)) paths.push_back(layer.path);
  } catch (const base::Error&) {  // another domain's image that cannot be read is not this one's matter
    return {};
  }
  return {paths.begin() + 1, paths.end()};
}

// As whom a layer is known to other domains. What of theirs cannot be read is theirs to be told of.
std::vector<hypervisor::FileUse> other_users(hypervisor::Connection& connection, const std::filesystem::path& image,
                                             const std::string& domain_uuid) {
  std::vector<hypervisor::FileUse> uses;
  try {
    uses = hypervisor::users_of(connection, image, images_below);
  } catch (const base::Error&) {
    return {};
  }
  std::erase_if(uses, [&](const hypervisor::FileUse& use) { return use.uuid == domain_uuid; });
  return uses;
}

class DiskExplainer {
 public:
  DiskExplainer(hypervisor::Connection& connection, const DiskModel& model, const DomainView& domain,
                const BackupOptions& options, const HomeCheck& check)
      : connection_(connection), model_(model), domain_(domain), options_(options), check_(check) {}

  DiskFinding run(bool running) {
    ExplainedDisk& disk = finding_.disk;
    disk = told_with(model_, choose_disk(model_, running, options_));
    if (disk.verdict.verdict == Verdict::skip) return std::move(finding_);
    if (disk.verdict.verdict != Verdict::include) finding_.refusal = refusal(model_.target, disk.verdict);
    if (disk.verdict.verdict == Verdict::include) plan();
    return std::move(finding_);
  }

 private:
  void plan() {
    try {
      DiskPlan plan = plan_disk(model_, domain_, options_, std::string(8, '0'));
      plan_encryption(connection_, model_, plan);
      tell_chain(plan.chain);
      tell_layer(plan);
      tell_overlay(plan.planned);
      finding_.disk.read_bytes_max = read_bytes_max(plan.chain);
      finding_.disk.planned = plan.planned;
    } catch (const base::Error& error) {
      finding_.disk.verdict = {Verdict::refuse, error.what()};
      finding_.refusal = error;
    }
  }

  void tell_chain(const std::vector<disk::ImageInfo>& chain) {
    for (const disk::ImageInfo& image : chain) {
      ExplainedLayer layer{.image = image, .written = finding_.disk.chain.empty(), .also_used_by = {}};
      for (const hypervisor::FileUse& use : other_users(connection_, image.path, domain_.now.uuid)) {
        layer.also_used_by.push_back(use.domain);
        if (use.role.starts_with("disk ")) warn_of_writer(layer, use);
      }
      finding_.disk.chain.push_back(std::move(layer));
    }
    for (const std::string& note : notes_on_image(model_.target, chain.front())) finding_.disk.notes.push_back(note);
    if (const std::string note = note_on_encryption(model_); !note.empty()) finding_.disk.notes.push_back(note);
    tell_change_map(no_bitmap_reason(chain.front()));
  }

  // Whether there is a point to count from only the repository knows.
  void tell_change_map(const std::string& obstacle) {
    const bool marks = obstacle.empty() && options_.change_map != ChangeMap::scan;
    finding_.disk.change_map = marks ? "bitmap" : "scan";
    finding_.disk.change_map_reason =
        marks ? "what is marked as written since the last point, where that left a good bitmap; else all is read"
        : obstacle.empty() ? "asked for: all allocated extents are read"
                           : obstacle + ": all allocated extents are read";
  }

  void tell_layer(const DiskPlan& plan) {
    ExplainedDisk& disk = finding_.disk;
    const PlannedDisk& planned = plan.planned;
    const bool on_layer = !planned.home.path.empty();
    if (!plan.no_layer.empty()) disk.notes.push_back("it is given no layer: " + plan.no_layer);
    if (planned.keeps_overlay) {
      disk.change_map = on_layer ? "layer" : disk.change_map;
      disk.change_map_reason = on_layer
                                   ? "what its layer holds, where the point that left it is in the repository; else "
                                     "all is read"
                                   : "a layer is kept from this point on; until now: " + disk.change_map_reason;
    }
    if (!on_layer) return;
    const std::string obstacle = planned.keeps_overlay ? "" : layer_obstacle(plan);
    const bool ends = !planned.keeps_overlay && plan.no_layer.empty() && obstacle.empty() && !options_.copy;
    disk.stays_on_layer = !ends && !planned.keeps_overlay;
    if (ends) tell_change_map(no_bitmap_reason(plan.home()));
    if (disk.stays_on_layer) tell_change_map("it stays on a kept layer");
    disk.notes.push_back(fmt::format("it is on the kept layer '{}', {}, over '{}'; {}", planned.base_path.string(),
                                     describe_layer(planned.base_path), planned.home.path.string(),
                                     what_becomes_of_layer(ends, obstacle)));
  }

  // As a backup that merges it first asks.
  std::string layer_obstacle(const DiskPlan& plan) const {
    const std::string obstacle = no_layer_reason(model_, plan.chain, domain_.now.uuid, false);
    return obstacle.empty() ? check_(plan.planned.base_path, plan.planned.home.path) : obstacle;
  }

  std::string what_becomes_of_layer(bool ends, const std::string& obstacle) const {
    if (!obstacle.empty()) return "it stays on it: " + obstacle;
    if (ends) return "this backup would merge it first, for good";
    return fmt::format("icecore recover {} --merge-layers ends it", base::shell_operand(domain_.now.name));
  }

  void warn_of_writer(const ExplainedLayer& layer, const hypervisor::FileUse& use) {
    finding_.disk.notes.push_back(fmt::format("'{}' is also {} of domain '{}', which may write to it{}",
                                              layer.image.path.string(), use.role, use.domain,
                                              layer.written ? "" : ": what lies above would then be damaged"));
  }

  void tell_overlay(const PlannedDisk& planned) {
    ExplainedDisk& disk = finding_.disk;
    disk.overlay = planned.keeps_overlay ? layer_pattern(domain_.now.uuid, model_.target)
                                         : overlay_pattern(domain_.now.uuid, model_.target);
    OverlayRoom& room = disk.room;
    room.folder = planned.overlay_path.parent_path();
    room.free_bytes = free_space(room.folder).first;
    room.usable_bytes = usable_space(room.folder, options_.overlay_free_share_min);
    room.needed_max = overlay_bytes_max(disk.chain.front().image.virtual_size) + growth_max(room.folder);
  }

  // By what the base may grow in the folder's file system when all of the disk is merged into it.
  std::uint64_t growth_max(const std::filesystem::path& folder) const {
    const disk::ImageInfo& base = finding_.disk.chain.front().image;
    const bool is_apart = std::filesystem::is_block_file(base.path) || base.actual_size >= base.virtual_size ||
                          file_system_of(base.path.parent_path()) != file_system_of(folder);
    return is_apart ? 0 : base.virtual_size - base.actual_size;
  }

  hypervisor::Connection& connection_;
  const DiskModel& model_;
  const DomainView& domain_;
  const BackupOptions& options_;
  const HomeCheck& check_;
  DiskFinding finding_;
};

}  // namespace

DiskFinding explain_disk(hypervisor::Connection& connection, const DiskModel& disk, const DomainView& domain,
                         bool running, const BackupOptions& options, const HomeCheck& check) {
  return DiskExplainer(connection, disk, domain, options, check).run(running);
}

ExplainedDisk explain_absent_disk(const DiskModel& disk) {
  return told_with(disk, {Verdict::skip, k_only_at_next_start});
}

std::vector<Advice> room_advice(const std::vector<ExplainedDisk>& disks) {
  std::map<dev_t, OverlayRoom> file_systems;
  for (const ExplainedDisk& disk : disks) {
    struct stat status = {};
    if (disk.room.folder.empty() || ::stat(disk.room.folder.c_str(), &status) != 0) continue;
    const auto [sum, is_first] = file_systems.try_emplace(status.st_dev, disk.room);
    if (!is_first) sum->second.needed_max += disk.room.needed_max;
  }
  std::vector<Advice> advice;
  for (const auto& [device, room] : file_systems) {
    if (room.needed_max <= room.usable_bytes) continue;
    advice.push_back(
        {fmt::format("what the guest writes while it is being backed up, and its merge, may take {} of '{}'; then the "
                     "backup is ended early. All its disks written anew would take {}",
                     base::format_size(room.usable_bytes), room.folder.string(), base::format_size(room.needed_max)),
         "name a folder with more room: --overlay-dir"});
  }
  return advice;
}

}  // namespace icecore::job
