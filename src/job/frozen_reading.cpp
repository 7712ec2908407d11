// SPDX-License-Identifier: Apache-2.0
#include "job/frozen_reading.hpp"

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/log.hpp"
#include "flow/periodic.hpp"
#include "job/backup_manifest.hpp"
#include "job/capture.hpp"
#include "job/disk_content.hpp"
#include "job/layer_parent.hpp"
#include "job/memory_store.hpp"

namespace icecore::job {

using base::Fault;

namespace {

std::vector<WatchedFile> overlays_of(const PreparedBackup& prepared) {
  std::vector<WatchedFile> overlays;
  for (std::size_t i = 0; i < prepared.plan.disks.size(); ++i) {
    const PlannedDisk& disk = prepared.plan.disks[i];
    overlays.push_back({disk.overlay_path, disk.base_path, prepared.images[i].virtual_size});
  }
  return overlays;
}

}  // namespace

FrozenReading::FrozenReading(const PreparedBackup& prepared, const BackupOptions& options, const JobContext& context,
                             repository::BlockWriter& writer, JobNotes& notes)
    : prepared_(prepared),
      context_(context),
      writer_(writer),
      on_stop_(context.stop, [this] { end_.request_stop(); }),
      increments_(writer.repository(), options, notes, end_.get_token()),
      budget_(overlays_of(prepared), options.overlay_free_share_min, options.overlay_age_max) {}

void FrozenReading::read(repository::Manifest& manifest) {
  constexpr base::Milliseconds k_pause(500);
  keep_within_budget();
  try {
    const flow::Periodic looking("budget", k_pause, [this] { look_from_beside(); });
    read_all(manifest);
  } catch (const base::Error&) {
    used_up_.with([](const std::optional<base::Error>& error) {
      if (error) throw base::Error(*error);
    });
    throw;
  }
}

void FrozenReading::look_from_beside() noexcept {
  try {
    keep_within_budget();
  } catch (const base::Error& error) {
    used_up_.with([&](std::optional<base::Error>& why) { why = error; });
    end_.request_stop();
  } catch (const std::exception& error) {
    base::log_warning("the room of the overlays could not be looked at: {}", error.what());
  }
}

void FrozenReading::read_all(repository::Manifest& manifest) {
  if (!prepared_.plan.memory_file.empty()) {
    base::with_context([&] { read_memory(manifest); }, "read the memory of domain '{}'", prepared_.model.name);
  }
  for (std::size_t i = 0; i < prepared_.plan.disks.size(); ++i) {
    const PlannedDisk& disk = prepared_.plan.disks[i];
    base::with_context([&] { read_disk(disk, manifest.disks[i]); }, "read disk '{}' of domain '{}'", disk.target,
                       prepared_.model.name);
  }
}

// Before the disks: the page cache still has it, and its room is needed no longer.
void FrozenReading::read_memory(repository::Manifest& manifest) {
  context_.progress.phase(prepared_.model.name, "read memory");
  const std::uint64_t total = std::filesystem::file_size(prepared_.plan.memory_file);
  const StoredMemory stored = store_memory(
      writer_, prepared_.plan.memory_file,
      [&](std::uint64_t done) { context_.progress.transfer({.bytes_total = total, .bytes_done = done}); },
      end_.get_token());
  manifest.blobs.insert(manifest.blobs.end(), stored.blobs.begin(), stored.blobs.end());
  manifest.bytes_read += stored.bytes_read;
  if (!stored.note.empty()) context_.progress.note(prepared_.model.name, stored.note);
  base::failpoint("backup.memory_stored");
  std::filesystem::remove(prepared_.plan.memory_file);
}

void FrozenReading::read_disk(const PlannedDisk& disk, repository::ManifestDisk& entry) {
  context_.progress.phase(prepared_.model.name, "read " + disk.target);
  const auto source = disk::DiskSource::open({.image = disk.base_path,
                                              .format = content_format(entry, disk.format),
                                              .block_size = writer_.repository().config().block_bytes});
  frozen_.push_back(disk::inspect_image(disk.base_path, disk.format));
  const std::optional<Increment> increment = choose_increment(disk, *source, entry);
  if (!entry.bitmap.empty()) entry.lineage = lineage_of(writer_.repository(), disk.chain);
  if (!entry.layer.empty()) entry.lineage = lineage_on_layer(writer_.repository(), chain_on_new_layer(disk));
  const std::uint64_t total = bytes_to_read(*source, increment);
  const repository::WriteStats before = writer_.stats();
  const Captured captured = capture_disk(
      *source, writer_,
      [&](std::uint64_t done) {
        const repository::WriteStats now = writer_.stats();
        context_.progress.transfer({.bytes_total = total,
                                    .bytes_done = done,
                                    .bytes_new = now.new_bytes - before.new_bytes,
                                    .bytes_stored = now.compressed_bytes - before.compressed_bytes});
      },
      end_.get_token(), increment);
  fill_disk(entry, captured, before, writer_.stats());
}

// What tells of changes speaks of the guest's disk, never of the file that is stored.
std::optional<Increment> FrozenReading::choose_increment(const PlannedDisk& disk, disk::DiskSource& source,
                                                         repository::ManifestDisk& entry) {
  if (entry.content == repository::DiskContent::guest)
    return increments_.choose(prepared_.model.uuid, disk, frozen_.back(), source, entry);
  entry.change_map = "scan";
  entry.change_map_reason = no_bitmap_reason(frozen_.back());
  return std::nullopt;
}

std::uint64_t FrozenReading::bytes_to_read(disk::DiskSource& source, const std::optional<Increment>& increment) const {
  if (!increment) return source.data_bytes({}, end_.get_token());
  return increment->changed.empty() ? 0 : source.data_bytes(increment->changed, end_.get_token());
}

void FrozenReading::keep_within_budget() {
  budget_.with([](SpaceWatch& watch) { watch.check(); });
  // One look at them may take long: whoever comes meanwhile goes on.
  if (const std::unique_lock turn(beside_turn_, std::try_to_lock); turn && beside_) beside_();
  stop_here_if_asked(context_, prepared_.model.name);
}

void FrozenReading::require_unchanged() const {
  require_same_sizes();
  require_same_chains();
}

void FrozenReading::require_same_sizes() const {
  for (std::size_t i = 0; i < prepared_.plan.disks.size(); ++i) {
    const PlannedDisk& disk = prepared_.plan.disks[i];
    const std::uint64_t now = disk::inspect_image(disk.overlay_path, "qcow2").virtual_size;
    const std::uint64_t then = prepared_.images[i].virtual_size;
    if (now == then) continue;
    base::Error error(Fault::conflict, fmt::format("disk '{}' was resized from {} to {} while it was being backed up",
                                                   disk.target, base::format_size(then), base::format_size(now)));
    throw error.add_hint("run the backup again");
  }
}

void FrozenReading::require_same_chains() const {
  for (const PlannedDisk& disk : prepared_.plan.disks)
    disk::expect_same_chain(disk.chain, disk::fingerprint_chain(disk.base_path, disk.format));
}

}  // namespace icecore::job
