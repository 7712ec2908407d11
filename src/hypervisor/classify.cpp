// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/classify.hpp"

#include <fmt/format.h>

#include "hypervisor/disk_encryption.hpp"

namespace icecore::hypervisor {

namespace {

DiskVerdict skip(std::string reason) { return {Verdict::skip, std::move(reason)}; }
DiskVerdict refuse(std::string reason) { return {Verdict::refuse, std::move(reason)}; }

// Sources whose overlay or whose reading is beyond us, with the reason.
std::string source_objection(const DiskModel& disk) {
  switch (disk.source.kind) {
    case SourceKind::file:
    case SourceKind::block: return {};
    case SourceKind::volume: return disk.source.unresolved;
    case SourceKind::network:
      return fmt::format("it is a network disk ({}), which this version cannot read", disk.source.protocol);
    case SourceKind::nvme: return "it is an NVMe device passed through, below which no snapshot is possible";
    case SourceKind::vhost_user:
    case SourceKind::vhost_vdpa: return "it is a vhost device, which QEMU cannot snapshot";
    case SourceKind::folder: return "it is a host folder shown as a FAT disk";
    case SourceKind::none:
    case SourceKind::unknown: break;
  }
  return "its kind of source is unknown";
}

std::string property_objection(const DiskModel& disk) {
  if (disk.device == "lun") return "it is a SCSI device passed through (lun), below which no snapshot is possible";
  if (disk.transient) return "it is transient: its content is dropped when the domain stops";
  if (disk.shareable) return "it is shared with other domains, so no one domain's snapshot of it would be consistent";
  if (disk.bus == "sd") return "it is on the sd bus, where QEMU has no block jobs";
  return encryption_objection(disk);
}

std::string format_objection(const DiskModel& disk) {
  if (disk.source.format == "raw" || disk.source.format == "qcow2") return {};
  if (disk.source.format.empty()) return "its XML names no image format; add type='raw' or 'qcow2' to its <driver>";
  return fmt::format("its image format '{}' cannot be the base of a snapshot", disk.source.format);
}

}  // namespace

std::string_view to_string(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::include: return "include";
    case Verdict::skip: return "skip";
    case Verdict::refuse: return "refuse";
    case Verdict::busy: return "busy";
  }
  return "unknown";
}

DiskVerdict classify(const DiskModel& disk, bool running) {
  if (disk.device == "cdrom") return skip("CD-ROM");
  if (disk.device == "floppy") return skip("floppy");
  if (disk.source.kind == SourceKind::none) return skip("empty drive");
  if (disk.readonly) return skip("read-only");
  for (const std::string& objection : {property_objection(disk), source_objection(disk), format_objection(disk)}) {
    if (!objection.empty()) return refuse(objection);
  }
  if (running && disk.mirror) {
    return {Verdict::busy, fmt::format("block job '{}' is running on it (to '{}')",
                                       disk.mirror->job.empty() ? "copy" : disk.mirror->job, disk.mirror->image.path)};
  }
  return {};
}

}  // namespace icecore::hypervisor
