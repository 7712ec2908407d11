// SPDX-License-Identifier: Apache-2.0
#include "job/doctor_bitmaps.hpp"

#include <algorithm>
#include <optional>

#include "base/error.hpp"
#include "base/id.hpp"
#include "base/shell_word.hpp"
#include "disk/image.hpp"
#include "job/bitmap_name.hpp"
#include "job/recover_bitmaps.hpp"
#include "repository/manifest.hpp"
#include "staging/spooled_storage.hpp"

namespace icecore::job {

namespace {

// All there are, as far as it can be asked: nothing when the remote behind a staging does not answer.
std::optional<std::set<std::string>> points_in(repository::Repository& repository, const std::string& domain_uuid) {
  std::set<std::string> ids;
  for (const std::string& object : repository::list_manifest_objects(repository, domain_uuid))
    ids.insert(repository::point_of_manifest(object));
  const staging::SpooledStorage* const spooled = staging::spooled(repository.storage());
  if (spooled != nullptr && !spooled->trouble().empty()) return std::nullopt;
  return ids;
}

std::vector<disk::ImageBitmap> bitmaps_in(const hypervisor::DiskModel& disk) {
  if (disk.source.path.empty() || disk.source.format != "qcow2") return {};
  try {
    return disk::inspect_image(disk.source.path, disk.source.format).bitmaps;
  } catch (const base::Error&) {  // a backup says what is wrong with it
    return {};
  }
}

class BitmapDiagnosis {
 public:
  BitmapDiagnosis(hypervisor::Domain& domain, const hypervisor::DomainModel& model, const BitmapOwners& owners)
      : domain_(domain), model_(model), owners_(owners) {}

  std::vector<Finding> run() {
    for (const std::string& name : checkpoints_of_ours(domain_, k_bitmap_prefix)) {
      find(
          Severity::problem,
          fmt::format("libvirt still knows our checkpoint '{}', left by a backup that was killed: it stands in the way "
                      "of an undefine",
                      name),
          "icecore recover " + base::shell_operand(model_.name));
    }
    for (const hypervisor::DiskModel& disk : model_.disks) {
      for (const disk::ImageBitmap& bitmap : bitmaps_in(disk)) {
        if (const auto name = parse_bitmap_name(bitmap.name)) look_at(disk, bitmap.name, *name);
      }
    }
    return std::move(findings_);
  }

 private:
  void look_at(const hypervisor::DiskModel& disk, const std::string& bitmap, const BitmapName& name) {
    const auto is_its = [&](const std::string& id) { return id.starts_with(name.repository); };
    const std::string remove = fmt::format(
        "when the domain is off: qemu-img bitmap --remove -f qcow2 {} {}, and of each image below that has it",
        base::shell_word(disk.source.path), base::shell_word(bitmap));
    if (owners_.repository != nullptr && is_its(owners_.repository->config().repository_id)) {
      if (!is_without_point(name)) return;
      find(Severity::advice,
           fmt::format("disk '{}' has the bitmap '{}', and '{}' has no restore point {} to count from: the next backup "
                       "that makes a bitmap there removes it",
                       disk.target, bitmap, owners_.repository->storage().url(), base::short_id(name.point)),
           remove);
    } else if (std::none_of(owners_.known_repositories.begin(), owners_.known_repositories.end(), is_its)) {
      find(Severity::advice,
           fmt::format("disk '{}' has the bitmap '{}' of a repository that this state folder has never met ({}...): it "
                       "is of no use unless another icecore backs the domain up to that",
                       disk.target, bitmap, name.repository),
           remove);
    }
  }

  bool is_without_point(const BitmapName& name) {
    if (owners_.open_jobs.contains(name.point)) return false;
    if (!looked_) points_ = points_in(*owners_.repository, model_.uuid);
    looked_ = true;
    return points_ && !points_->contains(name.point);
  }

  void find(Severity severity, std::string text, std::string hint) {
    findings_.push_back({severity, "domain '" + model_.name + "'", std::move(text), std::move(hint)});
  }

  hypervisor::Domain& domain_;
  const hypervisor::DomainModel& model_;
  const BitmapOwners& owners_;
  bool looked_ = false;
  std::optional<std::set<std::string>> points_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> diagnose_bitmaps(hypervisor::Domain& domain, const hypervisor::DomainModel& model,
                                      const BitmapOwners& owners) {
  return BitmapDiagnosis(domain, model, owners).run();
}

}  // namespace icecore::job
