// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/snapshot.hpp"

#include <libvirt/libvirt.h>

#include <algorithm>
#include <filesystem>

#include "base/error.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/put_on_overlays.hpp"
#include "hypervisor/xml_document.hpp"

namespace icecore::hypervisor {

namespace {

using base::Fault;

constexpr base::Milliseconds k_watch_deadline = std::chrono::seconds(30);

void check_before(const DomainModel& model, const std::vector<OverlayDisk>& disks, bool overlays_exist) {
  if (disks.empty()) base::fail(Fault::usage, "a snapshot of domain '{}' without any disk makes no sense", model.name);
  for (const OverlayDisk& disk : disks) {
    if (place_of(model, disk) != DiskPlace::on_base) {
      base::fail(Fault::conflict, "domain '{}': expected disk {} on '{}', but {}", model.name, disk.target,
                 disk.base_path, describe_place(model, disk.target));
    }
    if (std::filesystem::exists(disk.overlay_path) != overlays_exist) {
      base::fail(Fault::conflict, "the overlay '{}' for disk {} of domain '{}' {}", disk.overlay_path, disk.target,
                 model.name, overlays_exist ? "is gone" : "exists already");
    }
  }
}

// libvirt before 11.10 makes overlays of shut-off domains readable for everybody (CVE-2025-13193).
void hide_from_others(const std::string& overlay) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  fs::permissions(overlay, fs::perms::group_all | fs::perms::others_all, fs::perm_options::remove, ignored);
}

}  // namespace

// The image names the disks by itself: a start would put the guest on the bases, past the overlays.
void refuse_managed_save(Domain& domain) {
  if (domain.active() || !domain.has_managed_save()) return;
  base::Error error(Fault::conflict,
                    fmt::format("domain '{}' has a saved memory image (managed save), to which its disks "
                                "belong",
                                domain.name()));
  error.add_hint(fmt::format("start it with `virsh start {0}`, or drop the image with `virsh managedsave-remove {0}`",
                             base::shell_operand(domain.name())));
  throw error;
}

// libvirt's QEMU driver says no to every kind of snapshot in this state.
std::optional<base::Error> refuse_suspended(const std::string& name, DomainState state) {
  if (state != DomainState::pm_suspended) return std::nullopt;
  base::Error error(Fault::conflict,
                    fmt::format("domain '{}' is suspended: QEMU keeps its memory, but libvirt takes no snapshot of it, "
                                "not even of its disks alone, until it is woken",
                                name));
  return error.add_hint("virsh dompmwakeup " + base::shell_operand(name));
}

std::string snapshot_xml(const DomainModel& model, const std::vector<OverlayDisk>& disks,
                         const std::string& memory_file) {
  XmlDocument document = XmlDocument::create("domainsnapshot");
  if (!memory_file.empty()) {
    XmlNode memory = document.root().add_child("memory");
    memory.set_attribute("snapshot", "external");
    memory.set_attribute("file", memory_file);
  }
  XmlNode list = document.root().add_child("disks");
  for (const DiskModel& disk : model.disks) {
    XmlNode element = list.add_child("disk");
    element.set_attribute("name", disk.target);
    const auto ours = std::find_if(disks.begin(), disks.end(), [&](const auto& d) { return d.target == disk.target; });
    // A disk not named here would be snapshotted all the same: libvirt's default is 'external' for all.
    element.set_attribute("snapshot", ours == disks.end() ? "no" : "external");
    if (ours == disks.end()) continue;
    element.set_attribute("type", "file");
    element.add_child("driver").set_attribute("type", "qcow2");
    XmlNode source = element.add_child("source");
    source.set_attribute("file", ours->overlay_path);
    if (!ours->encryption.empty())
      source.add_copy(XmlDocument::parse(ours->encryption, "a disk's <encryption>").root());
  }
  return document.text();
}

Snapshot::Snapshot(Domain& domain, std::vector<OverlayDisk> disks, SnapshotOptions options)
    : domain_(domain),
      disks_(std::move(disks)),
      options_(std::move(options)),
      xml_([&] {
        const DomainModel model = domain.model();
        check_before(model, disks_, options_.overlays_exist);
        refuse_managed_save(domain);
        return snapshot_xml(model, disks_, options_.memory ? options_.memory->file : "");
      }()),
      worker_(domain, options_.helper) {
  if (options_.memory) worker_.watch_pauses(k_watch_deadline);
}

// Started a moment ago, it runs on its bases: confirm() finds that.
SnapshotReport Snapshot::define_on_overlays() {
  const base::Stopwatch watch;
  domain_.connection().define(put_on_overlays(domain_.inactive_xml(), disks_));
  return {watch.elapsed()};
}

SnapshotReport Snapshot::take(const MemoryWatch& watch) {
  if (options_.overlays_exist && !domain_.active()) return define_on_overlays();
  unsigned flags = VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC | VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA;
  if (!options_.memory) flags |= VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY;
  if (options_.overlays_exist) flags |= VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT;
  if (options_.memory && !options_.memory->pause) flags |= VIR_DOMAIN_SNAPSHOT_CREATE_LIVE;
  const CallResult result = options_.memory ? save_memory(domain_, worker_, options_.helper, xml_, flags, watch)
                                            : worker_.snapshot(xml_, flags, options_.deadline);
  result.check(fmt::format("snapshot of domain '{}'", domain_.name()));
  return {result.elapsed, result.paused};
}

void Snapshot::confirm() {
  const DomainModel model = domain_.model();
  for (const OverlayDisk& disk : disks_) {
    hide_from_others(disk.overlay_path);
    if (place_of(model, disk) != DiskPlace::on_overlay) {
      base::fail(Fault::conflict, "after the snapshot of domain '{}', expected disk {} on '{}', but {}", model.name,
                 disk.target, disk.overlay_path, describe_place(model, disk.target));
    }
  }
}

SnapshotReport create_snapshot(Domain& domain, std::vector<OverlayDisk> disks, SnapshotOptions options) {
  Snapshot snapshot(domain, std::move(disks), std::move(options));
  const SnapshotReport report = snapshot.take();
  snapshot.confirm();
  return report;
}

}  // namespace icecore::hypervisor
