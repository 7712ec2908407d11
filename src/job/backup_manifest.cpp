// SPDX-License-Identifier: Apache-2.0
#include "job/backup_manifest.hpp"

#include <algorithm>

#include "base/id.hpp"

namespace icecore::job {

using repository::CaptureMode;
using repository::Consistency;

namespace {

repository::ManifestDisk draft_disk(const PreparedBackup& prepared, std::size_t i) {
  const PlannedDisk& planned = prepared.plan.disks[i];
  const disk::ImageInfo& image = prepared.images[i];
  const disk::ImageInfo& home = prepared.homes[i];
  const bool on_layer = !planned.home.path.empty();
  const hypervisor::DiskModel* model = prepared.model.find_disk(planned.target);
  repository::ManifestDisk entry;
  entry.target = planned.target;
  entry.bus = model == nullptr ? "" : model->bus;
  // Where it is at home: a layer is there for the backups alone, and gone when the point is restored.
  entry.source_path = on_layer ? planned.home.path.string() : planned.base_path.string();
  entry.format = on_layer ? planned.home.format : planned.format;
  if (!planned.encryption.empty()) entry.content = repository::DiskContent::file;
  entry.virtual_size = image.virtual_size;
  entry.cluster_size = home.cluster_size;
  entry.compat = home.compat;
  entry.extended_l2 = home.extended_l2;
  entry.allocated_bytes = image.actual_size + (on_layer ? home.actual_size : 0);
  entry.bitmap = planned.bitmap;
  if (planned.keeps_overlay) entry.layer = planned.overlay_path.string();
  return entry;
}

CaptureMode mode_of(const BackupOptions& options, bool running) {
  if (options.copy) return CaptureMode::copy;
  return running ? CaptureMode::disk_only : CaptureMode::offline;
}

std::uint64_t to_ms(base::Milliseconds duration) { return static_cast<std::uint64_t>(duration.count()); }

}  // namespace

Consistency consistency_of(const PreparedBackup& prepared, const InstantFacts& facts) {
  if (prepared.off) return facts.started_meanwhile ? Consistency::crash : prepared.off->consistency;
  if (facts.memory) return Consistency::full_state;
  const bool frozen =
      facts.freeze && facts.freeze->state == hypervisor::FreezeState::frozen && facts.freeze->file_systems > 0;
  const bool held = facts.thaw && facts.thaw->thawed && !facts.thaw->early;
  return frozen && held ? Consistency::filesystem : Consistency::crash;
}

std::uint64_t frozen_ms(const InstantFacts& facts) { return facts.thaw ? to_ms(facts.thaw->frozen) : 0; }

std::uint64_t spread_ms(const std::vector<InstantBounds>& group) {
  if (group.empty()) return 0;
  auto earliest = group.front().earliest;
  auto latest = group.front().latest;
  for (const InstantBounds& bounds : group) {
    earliest = std::min(earliest, bounds.earliest);
    latest = std::max(latest, bounds.latest);
  }
  return to_ms(std::chrono::ceil<base::Milliseconds>(latest - earliest));
}

repository::Manifest draft_manifest(const JobRecord& record, const PreparedBackup& prepared,
                                    const BackupOptions& options, const InstantFacts& facts, bool running) {
  repository::Manifest manifest;
  manifest.id = record.id;
  manifest.domain_name = record.domain_name;
  manifest.domain_uuid = record.domain_uuid;
  manifest.host = base::host_name();
  manifest.time = facts.instant;
  manifest.mode = facts.memory ? CaptureMode::full_state : mode_of(options, running);
  manifest.consistency = consistency_of(prepared, facts);
  manifest.freeze_ms = frozen_ms(facts);
  manifest.snapshot_ms = to_ms(facts.snapshot.call);
  manifest.paused_ms = to_ms(facts.snapshot.paused);
  manifest.tool_version = ICECORE_VERSION;
  manifest.tags = options.tags;
  for (std::size_t i = 0; i < prepared.plan.disks.size(); ++i) manifest.disks.push_back(draft_disk(prepared, i));
  manifest.skipped = prepared.skipped;
  if (running) manifest.live_xml = prepared.current_xml;
  manifest.inactive_xml = prepared.inactive_xml;
  return manifest;
}

void fill_disk(repository::ManifestDisk& disk, const Captured& captured, const repository::WriteStats& before,
               const repository::WriteStats& after) {
  disk.image = captured.root;
  disk.bytes_read += captured.bytes_read;
  disk.bytes_new = after.new_bytes - before.new_bytes;
  disk.bytes_stored = after.compressed_bytes - before.compressed_bytes;
}

void complete_manifest(repository::Manifest& manifest, const repository::WriteStats& stats, base::Timestamp begun) {
  for (const repository::ManifestDisk& disk : manifest.disks) manifest.bytes_read += disk.bytes_read;
  for (const repository::ManifestBlob& blob : manifest.blobs) manifest.bytes_read += blob.size;
  manifest.bytes_new = stats.new_bytes;
  manifest.bytes_stored = stats.stored_bytes;
  manifest.duration_ms = to_ms(base::now() - begun);
}

}  // namespace icecore::job
