// SPDX-License-Identifier: Apache-2.0
#include "job/explain_security.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "base/shell_word.hpp"
#include "hypervisor/host_security.hpp"

namespace icecore::job {

using hypervisor::HostSecurity;

namespace {

namespace fs = std::filesystem;

// Since then virt-aa-helper no longer denies writes to images below the top one (libvirt's NEWS).
constexpr unsigned long k_commit_allowed_by_apparmor = 12'001'000;
// What SELinux policies label for images of virtual machines.
constexpr const char* k_image_folder = "/var/lib/libvirt/images";

bool is_confined_by(const hypervisor::DomainModel& domain, const char* driver) {
  return std::none_of(domain.unlabelled.begin(), domain.unlabelled.end(),
                      [&](const std::string& model) { return model.empty() || model == driver; });
}

std::set<fs::path> overlay_folders(const std::vector<ExplainedDisk>& disks) {
  std::set<fs::path> folders;
  for (const ExplainedDisk& disk : disks) {
    if (!disk.room.folder.empty()) folders.insert(disk.room.folder);
  }
  return folders;
}

// Whether permission bits let `who` pass through `folder`; access lists are not looked at.
bool can_enter(const fs::path& folder, const hypervisor::FileOwner& who) {
  struct stat status = {};
  if (::stat(folder.c_str(), &status) != 0 || who.user == 0) return true;
  const mode_t bit = status.st_uid == who.user ? S_IXUSR : status.st_gid == who.group ? S_IXGRP : S_IXOTH;
  return (status.st_mode & bit) != 0;
}

}  // namespace

std::vector<Advice> advice_on_labels(const HostSecurity& host, unsigned long libvirt_version,
                                     const hypervisor::DomainModel& domain, const std::vector<ExplainedDisk>& disks) {
  std::vector<Advice> advice;
  const std::set<fs::path> folders = overlay_folders(disks);
  const bool restricts = host.apparmor && is_confined_by(domain, "apparmor");
  if (restricts && libvirt_version < k_commit_allowed_by_apparmor && !folders.empty()) {
    advice.push_back(
        {"AppArmor confines this domain, and before libvirt 12.1 its profile forbids writing to images below an "
         "overlay once it is made anew: when the domain is restarted, or a device is plugged, during a backup. The "
         "overlays of all disks are merged at once for that reason; a merge that is denied all the same leaves the "
         "domain on its overlay, with nothing lost",
         fmt::format("then shut it down and: icecore recover {}. For good: libvirt 12.1, or in `virsh edit {}` "
                     "<seclabel type='none' model='apparmor'/>",
                     base::shell_operand(domain.name), base::shell_operand(domain.name))});
  }
  if (!host.selinux || !is_confined_by(domain, "selinux")) return advice;
  for (const fs::path& folder : folders) {
    if (folder.string().starts_with(k_image_folder)) continue;
    advice.push_back({fmt::format("SELinux has to let QEMU into '{}', where overlays go", folder.string()),
                      fmt::format("semanage fcontext -a -t virt_image_t '{0}(/.*)?' && restorecon -R {1}",
                                  folder.string(), base::shell_word(folder.string()))});
  }
  return advice;
}

std::vector<Advice> advice_on_folders(const HostSecurity& host, const std::vector<ExplainedDisk>& disks) {
  std::vector<Advice> advice;
  if (!host.qemu) return advice;
  for (const fs::path& folder : overlay_folders(disks)) {
    for (fs::path part = folder; part != part.root_path(); part = part.parent_path()) {
      if (can_enter(part, *host.qemu)) continue;
      advice.push_back({fmt::format("QEMU's user ({}) may not enter '{}', below which overlays go; the snapshot will "
                                    "fail",
                                    host.qemu->user, part.string()),
                        "chmod o+x " + base::shell_word(part.string())});
    }
  }
  return advice;
}

std::vector<Advice> security_advice(hypervisor::Connection& connection, const hypervisor::DomainModel& domain,
                                    const std::vector<ExplainedDisk>& disks) {
  const HostSecurity host = hypervisor::host_security(connection);
  std::vector<Advice> advice = advice_on_labels(host, connection.library_version(), domain, disks);
  for (Advice& more : advice_on_folders(host, disks)) advice.push_back(std::move(more));
  return advice;
}

}  // namespace icecore::job
