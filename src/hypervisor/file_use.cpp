// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/file_use.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "base/error.hpp"
#include "hypervisor/domain.hpp"

namespace icecore::hypervisor {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view k_below = "an image below disk ";

bool is_same_device(const fs::path& wanted, const std::string& candidate) {
  struct stat a = {};
  struct stat b = {};
  return ::stat(wanted.c_str(), &a) == 0 && ::stat(candidate.c_str(), &b) == 0 && S_ISBLK(a.st_mode) &&
         S_ISBLK(b.st_mode) && a.st_rdev == b.st_rdev;
}

// Two names of one file: equal text, links resolved, one inode (hard links), or two nodes of one device.
bool is_same_file(const fs::path& wanted, const std::string& candidate) {
  if (candidate.empty()) return false;
  std::error_code error;
  if (wanted == candidate || fs::equivalent(wanted, candidate, error) || is_same_device(wanted, candidate)) return true;
  const fs::path a = fs::weakly_canonical(wanted, error);
  return !error && a == fs::weakly_canonical(candidate, error) && !error;
}

std::string role_in_disk(const fs::path& file, const DiskModel& disk, const ChainReader& chain_of) {
  if (is_same_file(file, disk.source.path)) return "disk " + disk.target;
  if (disk.mirror && is_same_file(file, disk.mirror->image.path))
    return "the target of a block job on disk " + disk.target;
  std::vector<std::string> below;
  for (const ImageSource& image : disk.backing) below.push_back(image.path);
  if (below.empty() && !disk.chain_known && chain_of && !disk.source.path.empty()) {
    below = chain_of(disk.source.path, disk.source.format);
  }
  const bool found =
      std::any_of(below.begin(), below.end(), [&](const auto& path) { return is_same_file(file, path); });
  return found ? std::string(k_below) + disk.target : std::string();
}

std::string role_in_domain(const fs::path& file, const DomainModel& model, const ChainReader& chain_of) {
  if (is_same_file(file, model.nvram)) return "NVRAM";
  if (is_same_file(file, model.kernel)) return "kernel";
  if (is_same_file(file, model.initrd)) return "initrd";
  for (const DiskModel& disk : model.disks) {
    if (std::string role = role_in_disk(file, disk, chain_of); !role.empty()) return role;
  }
  return {};
}

std::string role_of(const fs::path& file, Domain& domain, const ChainReader& chain_of) {
  if (std::string role = role_in_domain(file, domain.model(), chain_of); !role.empty()) return role;
  if (!domain.persistent()) return {};
  return role_in_domain(file, domain.inactive_model(), chain_of);
}

}  // namespace

std::vector<FileUse> users_of(Connection& connection, const fs::path& file, const ChainReader& chain_of) {
  std::vector<FileUse> uses;
  for (const DomainSummary& summary : connection.domains()) {
    Domain domain(connection, summary.name, summary.uuid);
    try {
      std::string role = role_of(file, domain, chain_of);
      if (role.empty()) continue;
      const bool below = role.starts_with(k_below);
      uses.push_back({summary.name, summary.uuid, domain.active(), std::move(role), below});
    } catch (const base::Error& error) {
      // Undefined since it was listed: it uses nothing.
      if (error.fault() != base::Fault::not_found) throw;
    }
  }
  return uses;
}

}  // namespace icecore::hypervisor
