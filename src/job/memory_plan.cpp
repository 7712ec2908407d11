// SPDX-License-Identifier: Apache-2.0
#include "job/memory_plan.hpp"

#include <fmt/ranges.h>

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/full_state.hpp"
#include "job/overlay_place.hpp"
#include "job/space_watch.hpp"

namespace icecore::job {

using base::Fault;

namespace {

// The guest has the content of its disks in its memory: it can only go on with all of them.
void require_all_disks(const PreparedBackup& prepared, hypervisor::FullStateNeeds& needs) {
  for (const repository::SkippedDisk& skipped : prepared.skipped) {
    const hypervisor::DiskModel* const disk = prepared.model.find_disk(skipped.target);
    const bool changes = disk != nullptr && disk->source.kind != hypervisor::SourceKind::none && !disk->readonly &&
                         disk->device != "cdrom";
    if (changes) needs.blockers.push_back(fmt::format("its disk {} is left out ({})", disk->target, skipped.reason));
  }
}

// Why the memory cannot be saved, if so.
std::optional<base::Error> refusal(hypervisor::Domain& domain, const hypervisor::FullStateNeeds& needs) {
  const hypervisor::DomainState state = domain.state();
  // QEMU lets go of its disks when memory is saved, and takes them back only when the guest runs: until then no
  // overlay can be merged.
  if (state == hypervisor::DomainState::paused) {
    base::Error error(Fault::conflict, fmt::format("domain '{}' is paused: with its memory it can only be backed up "
                                                   "while it runs",
                                                   domain.name()));
    return error.add_hint("virsh resume " + base::shell_operand(domain.name()));
  }
  if (state != hypervisor::DomainState::running) {
    return base::Error(Fault::usage, fmt::format("domain '{}' is {}: it has no memory that could be saved",
                                                 domain.name(), to_string(state)));
  }
  if (needs.blockers.empty()) return std::nullopt;
  return base::Error(Fault::conflict, fmt::format("the memory of domain '{}' cannot be saved: {}", domain.name(),
                                                  fmt::join(needs.blockers, "; ")));
}

// Beside the first overlay. LIVE writes some pages more than once: what the guest changes meanwhile has to fit too.
std::filesystem::path place_for(const hypervisor::FullStateNeeds& needs, const std::string& job_id,
                                const PreparedBackup& prepared) {
  const std::filesystem::path folder = prepared.plan.disks.front().overlay_path.parent_path();
  const auto [bytes, share] = free_space(folder);
  if (bytes < needs.memory_bytes) {
    base::Error error(Fault::no_space,
                      fmt::format("the guest's memory takes up to {}, and only {} are free in '{}'",
                                  base::format_size(needs.memory_bytes), base::format_size(bytes), folder.string()));
    throw error.add_hint("free some space there, or name another folder with --overlay-dir");
  }
  return folder / memory_file_name(prepared.model.uuid, job_id);
}

}  // namespace

std::optional<std::string> plan_memory(hypervisor::Domain& domain, const BackupOptions& options,
                                       const std::string& job_id, PreparedBackup& prepared) {
  if (options.full_state == FullState::off) return std::nullopt;
  hypervisor::FullStateNeeds needs = hypervisor::full_state_needs(prepared.current_xml);
  require_all_disks(prepared, needs);
  if (std::optional<base::Error> refused = refusal(domain, needs)) {
    if (options.full_state == FullState::attempt) return std::string("without memory: ") + refused->what();
    throw refused->add_hint("back up its disks alone: leave out --full-state, or use --full-state=try");
  }
  prepared.plan.memory_file = place_for(needs, job_id, prepared);
  return std::nullopt;
}

hypervisor::SnapshotReport take_with_memory(hypervisor::Snapshot& snapshot, const PreparedBackup& prepared,
                                            const BackupOptions& options, const JobContext& context) {
  context.progress.phase(prepared.model.name, "save memory");
  SpaceWatch space(prepared.plan.memory_file, options.overlay_free_share_min, options.overlay_age_max);
  const hypervisor::MemoryWatch watch{.on_progress =
                                          [&](std::uint64_t done, std::uint64_t total) {
                                            base::failpoint("backup.memory_progress");
                                            space.check();
                                            context.progress.transfer({.bytes_total = total, .bytes_done = done});
                                          },
                                      .stop = context.stop};
  try {
    return snapshot.take(watch);
  } catch (base::Error& error) {
    if (error.fault() != Fault::cancelled) error.add_hint("back up its disks alone: leave out --full-state");
    throw;
  }
}

}  // namespace icecore::job
