// SPDX-License-Identifier: Apache-2.0
#include "job/memory_plan.hpp"

#include <fmt/ranges.h>

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/full_state.hpp"
#include "hypervisor/max_downtime.hpp"
#include "job/overlay_place.hpp"
#include "job/space_watch.hpp"

namespace icecore::job {

using base::Fault;

namespace {

constexpr const char* k_disks_alone =
    "back up its disks alone: without --full-state, or --full-state=try, in a policy <capture "
    "mode=\"full-state-try\"/>";

// The guest has the content of its disks in its memory: it can only go on with all of them.
void require_all_disks(const hypervisor::DomainModel& model, const std::vector<repository::SkippedDisk>& skipped,
                       std::vector<std::string>& blockers) {
  for (const repository::SkippedDisk& left_out : skipped) {
    const hypervisor::DiskModel* const disk = model.find_disk(left_out.target);
    const bool changes = disk != nullptr && disk->source.kind != hypervisor::SourceKind::none && !disk->readonly &&
                         disk->device != "cdrom";
    if (changes) blockers.push_back(fmt::format("its disk {} is left out ({})", disk->target, left_out.reason));
  }
}

std::optional<base::Error> refuse_blocked(const std::string& name, const std::vector<std::string>& blockers) {
  if (blockers.empty()) return std::nullopt;
  base::Error error(Fault::conflict,
                    fmt::format("the memory of domain '{}' cannot be saved: {}", name, fmt::join(blockers, "; ")));
  return error.add_hint(k_disks_alone);
}

// LIVE writes some pages more than once: what the guest changes meanwhile has to fit too.
std::optional<base::Error> refuse_room(const MemoryFinding& found) {
  if (found.folder.empty() || found.usable_bytes >= found.needed_bytes) return std::nullopt;
  base::Error error(Fault::no_space,
                    fmt::format("the guest's memory takes up to {}, and of the {} that are free in '{}' only {} may be "
                                "used",
                                base::format_size(found.needed_bytes), base::format_size(found.free_bytes),
                                found.folder.string(), base::format_size(found.usable_bytes)));
  return error.add_hint("free some space there, or name another folder with --overlay-dir");
}

void look_whether_to_pause(hypervisor::Connection& connection, const hypervisor::FullStateNeeds& needs,
                           const BackupOptions& options, MemoryFinding& found) {
  found.pauses = options.pause;
  if (options.pause || !needs.emulated || !hypervisor::misses_writes(connection.hypervisor_version())) return;
  const std::string why =
      "QEMU emulates it without KVM, and before version 9.0 misses some of what such a guest writes meanwhile";
  found.pauses = !options.live;
  found.note = options.live
                   ? "the guest runs on while its memory is saved, and may not go on when it is restored: " + why
                   : "the guest stands still while its memory is saved: " + why;
}

}  // namespace

MemoryFinding look_at_memory(hypervisor::Domain& domain, const hypervisor::DomainModel& model,
                             const std::string& current_xml, const std::vector<repository::SkippedDisk>& skipped,
                             const std::filesystem::path& folder, const BackupOptions& options) {
  hypervisor::FullStateNeeds needs = hypervisor::full_state_needs(current_xml);
  require_all_disks(model, skipped, needs.blockers);
  MemoryFinding found{.folder = folder, .needed_bytes = needs.memory_bytes, .blockers = std::move(needs.blockers)};
  look_whether_to_pause(domain.connection(), needs, options, found);
  if (!folder.empty()) {
    found.free_bytes = free_space(folder).first;
    found.usable_bytes = usable_space(folder, options.overlay_free_share_min);
  }
  found.refusal = refuse_memory_of(model.name, domain.state());
  if (!found.refusal) found.refusal = refuse_blocked(model.name, found.blockers);
  if (!found.refusal) found.refusal = refuse_room(found);
  return found;
}

std::optional<base::Error> refuse_memory_of(const std::string& name, hypervisor::DomainState state) {
  // QEMU lets go of its disks when memory is saved, and takes them back only when the guest runs: until then no
  // overlay can be merged.
  if (state == hypervisor::DomainState::paused) {
    base::Error error(Fault::conflict, fmt::format("domain '{}' is paused: with its memory it can only be backed up "
                                                   "while it runs",
                                                   name));
    return error.add_hint("virsh resume " + base::shell_operand(name));
  }
  if (state == hypervisor::DomainState::running) return std::nullopt;
  if (auto refused = hypervisor::refuse_suspended(name, state)) return refused;
  base::Error error(Fault::usage,
                    fmt::format("domain '{}' is {}: it has no memory that could be saved", name, to_string(state)));
  return error.add_hint(k_disks_alone);
}

std::string without_memory(const std::string& reason) { return "without memory: " + reason; }

std::optional<std::string> plan_memory(hypervisor::Domain& domain, const BackupOptions& options,
                                       const std::string& job_id, PreparedBackup& prepared) {
  if (options.full_state == FullState::off) return std::nullopt;
  const MemoryFinding found = look_at_memory(domain, prepared.model, prepared.current_xml, prepared.skipped,
                                             prepared.plan.disks.front().overlay_path.parent_path(), options);
  if (found.refusal) {
    if (options.full_state == FullState::attempt) return without_memory(found.refusal->what());
    throw base::Error(*found.refusal);
  }
  prepared.plan.memory_file = found.folder / memory_file_name(prepared.model.uuid, job_id);
  prepared.pauses = found.pauses;
  if (!found.pauses) prepared.plan.max_downtime = hypervisor::longer_downtime(domain).value_or(base::Milliseconds(0));
  return found.note.empty() ? std::nullopt : std::optional(found.note);
}

hypervisor::SnapshotReport take_with_memory(hypervisor::Snapshot& snapshot, const PreparedBackup& prepared,
                                            const BackupOptions& options, const JobContext& context) {
  context.progress.phase(prepared.model.name, "save memory");
  SpaceWatch space({{.file = prepared.plan.memory_file, .base = {}}}, options.overlay_free_share_min,
                   options.overlay_age_max);
  const hypervisor::MemoryWatch watch{.on_progress =
                                          [&](std::uint64_t done, std::uint64_t total) {
                                            base::failpoint("backup.memory_progress");
                                            space.check();
                                            context.progress.transfer({.bytes_total = total, .bytes_done = done});
                                          },
                                      .stop = context.stop,
                                      .own_downtime = prepared.plan.max_downtime};
  try {
    return snapshot.take(watch);
  } catch (base::Error& error) {
    const bool told_how = error.fault() == Fault::cancelled || options.full_state == FullState::attempt;
    if (!told_how) error.add_hint("back up its disks alone: leave out --full-state");
    throw;
  }
}

}  // namespace icecore::job
