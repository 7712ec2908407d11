// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/file_use.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "hypervisor/domain.hpp"
#include "hypervisor/file_identity.hpp"

namespace icecore::hypervisor {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view k_below = "an image below disk ";

// The file that is asked about.
class Wanted {
 public:
  explicit Wanted(const fs::path& file) : file_(file), identity_(identify(file)) {}

  bool is(const std::string& candidate) const {
    if (candidate.empty()) return false;
    return file_ == candidate || is_same(identity_, identify(candidate));
  }

 private:
  fs::path file_;
  FileIdentity identity_;
};

std::string role_in_disk(const Wanted& file, const DiskModel& disk, const ChainReader& chain_of) {
  if (file.is(disk.source.path)) return "disk " + disk.target;
  if (disk.mirror && file.is(disk.mirror->image.path)) return "the target of a block job on disk " + disk.target;
  std::vector<std::string> below;
  for (const ImageSource& image : disk.backing) below.push_back(image.path);
  if (below.empty() && !disk.chain_known && chain_of && !disk.source.path.empty()) {
    below = chain_of(disk.source.path, disk.source.format);
  }
  const bool found = std::any_of(below.begin(), below.end(), [&](const auto& path) { return file.is(path); });
  return found ? std::string(k_below) + disk.target : std::string();
}

std::string role_in_domain(const Wanted& file, const DomainModel& model, const ChainReader& chain_of) {
  if (file.is(model.nvram)) return "NVRAM";
  if (file.is(model.kernel)) return "kernel";
  if (file.is(model.initrd)) return "initrd";
  for (const DiskModel& disk : model.disks) {
    if (std::string role = role_in_disk(file, disk, chain_of); !role.empty()) return role;
  }
  return {};
}

std::string role_of(const Wanted& file, Domain& domain, const ChainReader& chain_of) {
  if (std::string role = role_in_domain(file, domain.model(), chain_of); !role.empty()) return role;
  if (!domain.persistent()) return {};
  return role_in_domain(file, domain.inactive_model(), chain_of);
}

}  // namespace

std::vector<FileUse> users_of(Connection& connection, const fs::path& file, const ChainReader& chain_of) {
  const Wanted wanted(file);
  std::vector<FileUse> uses;
  for (const DomainSummary& summary : connection.domains()) {
    Domain domain(connection, summary.name, summary.uuid);
    try {
      std::string role = role_of(wanted, domain, chain_of);
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
