// SPDX-License-Identifier: Apache-2.0
#include "job/restore_report.hpp"

#include "job/restore_room.hpp"

namespace icecore::job {

using repository::ManifestDisk;

namespace {

bool gives_way(const PlannedFile& file) {
  return file.device || (file.replaces && std::filesystem::exists(std::filesystem::symlink_status(file.path)));
}

RestoredDisk describe_disk(const PreparedRestore& prepared, std::size_t i) {
  const PlannedFile& file = prepared.plan.files[i];
  const ManifestDisk& disk = *prepared.disks[i];
  return {.target = disk.target,
          .path = file.path,
          .format = file.format,
          .size = disk.virtual_size,
          .room = describe_room(file, disk, prepared.disk_bytes[i]),
          .replaces = gives_way(file)};
}

}  // namespace

RestoreReport describe_restore(const PreparedRestore& prepared) {
  RestoreReport report;
  report.point_id = prepared.plan.point_id;
  report.domain_name = prepared.plan.domain_name;
  report.domain_uuid = prepared.plan.domain_uuid;
  report.xml_diff = prepared.xml_diff;
  report.notes = prepared.notes;
  report.room = room_needed(prepared);
  report.with_memory = !prepared.plan.memory_file.empty();
  report.memory_file = prepared.plan.memory_file;
  for (const PlannedBlob& planned : prepared.blobs)
    report.files.push_back({planned.blob->kind, planned.file.path, gives_way(planned.file)});
  for (std::size_t i = 0; i < prepared.disks.size(); ++i) report.disks.push_back(describe_disk(prepared, i));
  report.findings = prepared.findings;
  return report;
}

}  // namespace icecore::job
