// SPDX-License-Identifier: Apache-2.0
#include "job/base_use.hpp"

#include <sys/stat.h>

#include "base/error.hpp"
#include "base/file_time.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/domain.hpp"
#include "hypervisor/file_use.hpp"
#include "job/layers_below.hpp"

namespace icecore::job {

namespace {

// Shallow: what lies below the base may be another domain's too.
std::string way_back(const std::string& uri, const hypervisor::FileUse& use, const std::filesystem::path& image,
                     const std::string& domain_uuid) {
  if (use.uuid == domain_uuid) return "icecore recover " + base::shell_operand(use.domain) + ", which merges it";
  constexpr std::string_view k_disk = "disk ";
  const std::string end = fmt::format("remove '{}' and run `icecore recover {} --close`", image.string(), domain_uuid);
  if (!use.role.starts_with(k_disk))
    return fmt::format("take it out of domain '{}' first; where it is of no use any more, {}", use.domain, end);
  return fmt::format(
      "while that domain runs, `virsh -c {} blockcommit {} {} --active --shallow --pivot --wait`; then {}",
      base::shell_word(uri), base::shell_operand(use.domain), use.role.substr(k_disk.size()), end);
}

bool was_used(hypervisor::Connection& connection, const PlannedDisk& disk, const std::filesystem::path& image,
              std::int64_t frozen_ns) {
  const bool is_known = disk.merge == MergeState::unbegun && frozen_ns != 0;
  if (is_known && last_written_ns(image) != frozen_ns) return true;
  return !hypervisor::users_of(connection, image, layers_below).empty();
}

// Wherever it is defined: now, and at its next start. Of a domain that is gone, whether nobody has taken its base.
bool is_on_overlay(hypervisor::Connection& connection, const std::string& domain_uuid, const PlannedDisk& disk) {
  if (!connection.has_domain(domain_uuid))
    return hypervisor::users_of(connection, disk.base_path, layers_below).empty();
  hypervisor::Domain domain = connection.domain(domain_uuid);
  const auto is_there = [&](const hypervisor::DomainModel& model) {
    return hypervisor::place_of(model, to_overlay(disk)) == hypervisor::DiskPlace::on_overlay;
  };
  if (domain.active() && !is_there(domain.model())) return false;
  return !domain.persistent() || is_there(domain.inactive_model());
}

enum class Since { untouched, written, unknown };

Since since_frozen(const std::filesystem::path& image, std::int64_t frozen_ns) {
  if (frozen_ns == 0) return Since::unknown;  // a device
  return last_written_ns(image) == frozen_ns ? Since::untouched : Since::written;
}

Since since_frozen(const PlannedDisk& disk) {
  const Since base = since_frozen(disk.base_path, disk.frozen_ns);
  return base != Since::untouched || disk.home.path.empty() ? base : since_frozen(disk.home.path, disk.home.frozen_ns);
}

}  // namespace

std::int64_t last_written_ns(const std::filesystem::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) base::fail_errno(errno, "look at '" + file.string() + "'");
  if (!S_ISREG(status.st_mode)) return 0;
  return base::to_ns(status.st_mtim);
}

void note_frozen_bases(BackupPlan& plan) {
  for (PlannedDisk& disk : plan.disks) {
    disk.frozen_ns = last_written_ns(disk.base_path);
    if (!disk.home.path.empty()) disk.home.frozen_ns = last_written_ns(disk.home.path);
  }
  plan.snapshotted = true;
}

void require_unwritten(hypervisor::Connection& connection, const std::string& domain_uuid, const BackupPlan& plan,
                       bool ran) {
  for (const PlannedDisk& disk : plan.disks) {
    const Since since = since_frozen(disk);
    if (since == Since::untouched) continue;
    const bool tells_nothing = since == Since::unknown || ran;
    if (tells_nothing && is_on_overlay(connection, domain_uuid, disk)) continue;
    base::Error error(base::Fault::conflict, fmt::format("disk '{}': '{}' was written to while it was read, beside our "
                                                         "overlay that lies over it",
                                                         disk.target, disk.base_path.string()));
    throw error.add_hint(
        "let nobody define the domain anew, merge its overlays or write to its images during a backup");
  }
}

bool base_was_used(hypervisor::Connection& connection, const PlannedDisk& disk) {
  return was_used(connection, disk, disk.base_path, disk.frozen_ns);
}

bool home_was_used(hypervisor::Connection& connection, const PlannedDisk& disk) {
  return was_used(connection, disk, disk.home.path, disk.home.frozen_ns);
}

void require_image_unused(hypervisor::Connection& connection, const std::filesystem::path& image,
                          const std::string& domain_uuid) {
  for (const hypervisor::FileUse& use : hypervisor::users_of(connection, image, layers_below)) {
    base::Error error(base::Fault::conflict,
                      fmt::format("our '{}' is {} of domain '{}' now", image.string(), use.role, use.domain));
    throw error.add_hint(way_back(connection.uri(), use, image, domain_uuid));
  }
}

}  // namespace icecore::job
