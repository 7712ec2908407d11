// SPDX-License-Identifier: Apache-2.0
#include "job/restore_memory.hpp"

#include <fcntl.h>

#include <algorithm>
#include <system_error>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/id.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/domain_model.hpp"
#include "hypervisor/saved_image.hpp"
#include "job/backup_plan.hpp"
#include "job/blob.hpp"
#include "job/memory_store.hpp"
#include "job/restore_image.hpp"
#include "job/restore_room.hpp"
#include "memory/prove.hpp"
#include "memory/save_file_target.hpp"

namespace icecore::job {

using base::Fault;
using repository::Manifest;
using repository::ManifestBlob;

namespace {

constexpr std::uint64_t k_state_bytes_max = 2 * base::k_gib;

[[noreturn]] void refuse(Fault fault, const std::string& why) {
  throw base::Error(fault, why).add_hint("boot from the disks, without the memory: --discard-memory");
}

const ManifestBlob* find_blob(const Manifest& manifest, std::string_view kind) {
  const auto found = std::find_if(manifest.blobs.begin(), manifest.blobs.end(),
                                  [&](const ManifestBlob& blob) { return blob.kind == kind; });
  return found == manifest.blobs.end() ? nullptr : &*found;
}

// The guest has the disks' content in its memory: with other disks it would destroy them.
void require_all_disks(const RestorePlan& plan, const Manifest& manifest) {
  for (const hypervisor::DiskModel& disk : hypervisor::parse_domain(manifest.live_xml).disks) {
    const bool changes = disk.source.kind != hypervisor::SourceKind::none && !disk.readonly && disk.device != "cdrom";
    const bool restored = std::any_of(plan.files.begin(), plan.files.end(),
                                      [&](const PlannedFile& file) { return file.target == disk.target; });
    if (!changes || restored) continue;
    refuse(Fault::usage, fmt::format("the memory of the point fits only all disks of the guest, and disk '{}' would "
                                     "not be restored",
                                     disk.target));
  }
}

std::filesystem::path folder_of(const RestorePlan& plan, const std::filesystem::path& otherwise) {
  const auto file =
      std::find_if(plan.files.begin(), plan.files.end(), [](const PlannedFile& one) { return !one.device; });
  return file == plan.files.end() ? otherwise : file->path.parent_path();
}

// Beside the disks, for which there is room.
void require_room_for_memory(const PreparedRestore& prepared) {
  try {
    require_room({room_needed(prepared)});
  } catch (const base::Error& error) {
    if (error.fault() != Fault::no_space) throw;
    refuse(Fault::no_space, fmt::format("the guest's memory takes up to {}, and then {}",
                                        base::format_size(prepared.memory_bytes), error.what()));
  }
}

void require_undamaged(const std::optional<repository::DamageMark>& damage) {
  for (const repository::DamagedDisk& lost : damage ? damage->disks : std::vector<repository::DamagedDisk>()) {
    if (lost.disk == k_memory_blob || lost.disk == k_memory_state_blob || lost.disk == k_memory_file_blob)
      refuse(Fault::corrupt, "blocks of the point's memory are lost");
  }
}

memory::MemoryState load_state(repository::Repository& repository, const ManifestBlob& blob,
                               const std::stop_token& stop) {
  if (blob.size > k_state_bytes_max || blob.image.disk_size != blob.size)
    base::fail(Fault::corrupt, "the point's memory state has an impossible size");
  base::Bytes bytes(blob.size);
  const auto target = memory::open_buffer(bytes, restore_threads());
  restore_image(
      repository, blob.image, {}, *target, [](std::uint64_t) {}, stop);
  return memory::decode_state(bytes, "the point's memory state");
}

}  // namespace

void plan_restored_memory(PreparedRestore& prepared, const Manifest& manifest, const RestoreOptions& options,
                          const std::filesystem::path& otherwise, const std::string& job_id) {
  if (!has_memory(manifest)) {
    if (options.paused) base::fail(Fault::usage, "the point has no memory to go on from; --paused does not go with it");
    return;
  }
  if (options.disks_only || options.discard_memory) {
    prepared.notes.emplace_back("the guest's memory was not restored: its disks are as after a power cut");
    return;
  }
  if (options.new_name) {
    refuse(Fault::usage,
           fmt::format("libvirt resumes a saved memory only under its own name and UUID, '{}'", manifest.domain_name));
  }
  require_all_disks(prepared.plan, manifest);
  const std::filesystem::path folder = folder_of(prepared.plan, otherwise);
  const ManifestBlob* const whole = find_blob(manifest, k_memory_file_blob);
  prepared.memory_bytes = (whole != nullptr ? *whole : *find_blob(manifest, k_memory_blob)).size;
  prepared.plan.memory_file = folder / memory_file_name(manifest.domain_uuid, job_id);
  require_room_for_memory(prepared);
}

std::vector<hypervisor::Finding> memory_findings(hypervisor::Connection& connection, const PreparedRestore& prepared,
                                                 const Manifest& manifest) {
  if (prepared.plan.memory_file.empty()) return {};
  std::vector<hypervisor::Finding> findings = hypervisor::check_resume(
      connection, manifest.live_xml, prepared.plan.define_xml, manifest.host != base::host_name());
  std::erase_if(findings, [&](const hypervisor::Finding& finding) {
    const auto is_same = [&](const hypervisor::Finding& known) { return known.what == finding.what; };
    return std::any_of(prepared.findings.begin(), prepared.findings.end(), is_same);
  });
  return findings;
}

void write_memory(repository::Repository& repository, const Manifest& manifest, const RestorePlan& plan,
                  const std::optional<repository::DamageMark>& damage,
                  const std::function<void(std::uint64_t)>& on_write, const std::stop_token& stop) {
  require_undamaged(damage);
  if (const ManifestBlob* const whole = find_blob(manifest, k_memory_file_blob))
    return restore_blob(repository, *whole, {}, plan.memory_file, stop);
  const ManifestBlob* const ram = find_blob(manifest, k_memory_blob);
  const ManifestBlob* const rest = find_blob(manifest, k_memory_state_blob);
  if (ram == nullptr || rest == nullptr) base::fail(Fault::corrupt, "the point has only a part of its memory");
  const memory::MemoryState state = load_state(repository, *rest, stop);
  if (state.image_bytes() != ram->image.disk_size)
    base::fail(Fault::corrupt, "the parts of the point's memory do not fit together");
  const auto target = memory::open_save_file(plan.memory_file, state, restore_threads());
  restore_image(repository, ram->image, {}, *target, on_write, stop);
  target->finish(stop);
  memory::verify_save_file(plan.memory_file, state);
}

void resume_from_memory(hypervisor::Connection& connection, const RestorePlan& plan, const RestoreOptions& options) {
  constexpr std::uint64_t k_bytes_a_second_min = 10 * base::k_mib;
  const std::uint64_t size = std::filesystem::file_size(plan.memory_file);
  const base::Bytes header = base::read_file_range(plan.memory_file, 0, memory::k_save_header_bytes);
  const std::size_t prefix = memory::k_save_header_bytes + memory::parse_save_header(header).data_bytes;
  const std::string saved_xml = memory::xml_of_save_file(base::read_file_range(plan.memory_file, 0, prefix));
  hypervisor::Domain domain = connection.domain(plan.domain_uuid);
  const hypervisor::RunState state = options.paused  ? hypervisor::RunState::paused
                                     : options.start ? hypervisor::RunState::running
                                                     : hypervisor::RunState::as_saved;
  try {
    hypervisor::start_from_memory(domain, plan.memory_file.string(),
                                  hypervisor::adapt_saved_xml(saved_xml, plan.define_xml), state,
                                  std::chrono::minutes(5) + std::chrono::seconds(size / k_bytes_a_second_min));
  } catch (base::Error& error) {
    error.add_context(
        fmt::format("domain '{}' is restored and shut off, but does not go on where it was", plan.domain_name));
    throw error.add_hint("virsh start " + base::shell_operand(plan.domain_name) + " boots it from its disks");
  }
}

void remove_memory_file(const RestorePlan& plan) {
  if (plan.memory_file.empty()) return;
  std::error_code failure;
  std::filesystem::remove(plan.memory_file, failure);
  if (failure) base::fail_errno(failure.value(), "remove '" + plan.memory_file.string() + "'");
}

}  // namespace icecore::job
