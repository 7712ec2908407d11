// SPDX-License-Identifier: Apache-2.0
#include "job/explain.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/shell_word.hpp"
#include "hypervisor/freeze.hpp"
#include "hypervisor/snapshot.hpp"
#include "job/boot_files.hpp"
#include "job/disk_choice.hpp"
#include "job/domain_lock.hpp"
#include "job/explain_disk.hpp"
#include "job/explain_security.hpp"
#include "job/firmware.hpp"
#include "job/journal.hpp"
#include "job/kept_layer.hpp"
#include "job/layer_end.hpp"
#include "job/memory_plan.hpp"
#include "job/off_consistency.hpp"

namespace icecore::job {

using base::Fault;
using hypervisor::AgentChannel;
using hypervisor::DomainState;
using hypervisor::Verdict;

namespace {

class Explainer {
 public:
  Explainer(hypervisor::Connection& connection, hypervisor::Domain& domain, const BackupOptions& options,
            const std::filesystem::path& state_dir)
      : connection_(connection), domain_(domain), options_(options) {
    if (Journal::is_there(state_dir)) journal_.emplace(state_dir);  // which a look does not make
  }

  Explanation run() {
    look();
    require_known_targets(now_, options_);
    tell_state();
    tell_disks();
    tell_homes();
    if (!active_) tell_how_it_went_off();
    tell_memory();
    if (active_) tell_consistency();
    tell_firmware();
    result_.advice = room_advice(result_.disks);
    for (Advice& more : security_advice(connection_, now_, result_.disks)) result_.advice.push_back(std::move(more));
    return std::move(result_);
  }

 private:
  void look() {
    current_xml_ = domain_.current_xml();
    now_ = domain_.model_of(current_xml_);
    if (!domain_.persistent()) return;
    inactive_xml_ = domain_.inactive_xml();
    next_ = domain_.model_of(inactive_xml_);
  }

  void tell_state() {
    result_.domain = domain_.name();
    result_.uuid = domain_.uuid();
    result_.state = domain_.state();
    active_ = domain_.active();
    result_.mode = options_.copy ? repository::CaptureMode::copy
                   : active_     ? repository::CaptureMode::disk_only
                                 : repository::CaptureMode::offline;
    if (DomainLock::is_held(domain_.uuid()))
      refuse(base::Error(Fault::busy, fmt::format("another icecore is at work on domain '{}'", domain_.name())));
    if (auto refused = hypervisor::refuse_suspended(domain_.name(), result_.state)) refuse(std::move(*refused));
    if (!active_ && domain_.has_managed_save()) {
      base::Error error(Fault::conflict,
                        "the domain has a saved memory image (managed save), to which its disks belong");
      const std::string name = base::shell_operand(domain_.name());
      refuse(error.add_hint(
          fmt::format("start it with `virsh start {0}`, or drop the image with `virsh managedsave-remove {0}`", name)));
    }
  }

  // What a backup would look at, of a domain that runs also when nobody asked for its memory.
  void tell_memory() {
    const bool asked = options_.full_state != FullState::off;
    if (!asked && !active_) return;
    std::vector<repository::SkippedDisk> skipped;
    std::filesystem::path folder;
    for (const ExplainedDisk& disk : result_.disks) {
      if (disk.verdict.verdict == Verdict::skip) skipped.push_back({disk.target, disk.verdict.reason});
      if (disk.verdict.verdict == Verdict::include && folder.empty()) folder = disk.room.folder;
    }
    MemoryFinding found = look_at_memory(domain_, now_, current_xml_, skipped, folder, options_);
    if (active_) result_.full_state_blockers = found.blockers;
    if (!asked) return;
    if (active_) result_.memory = {found.folder, found.needed_bytes, found.free_bytes, found.pauses};
    if (active_) result_.memory_note = found.note;
    if (!found.refusal) {
      result_.mode = repository::CaptureMode::full_state;
    } else if (options_.full_state == FullState::required) {
      refuse(std::move(*found.refusal));
    } else {
      result_.memory_note = without_memory(found.refusal->what());
    }
  }

  // What the freeze would find, by the same order of questions.
  std::string freeze_obstacle() const {
    if (options_.quiesce == Quiesce::off) return "freezing is switched off (--quiesce=off)";
    if (result_.state != DomainState::running) return "the guest is paused, its agent cannot answer";
    if (now_.agent == AgentChannel::absent)
      return "the domain has no channel for the guest agent (org.qemu.guest_agent.0)";
    return now_.agent == AgentChannel::connected ? "" : "no agent in the guest has opened its channel";
  }

  void tell_consistency() {
    if (result_.mode == repository::CaptureMode::full_state) {
      result_.consistency = repository::Consistency::full_state;
      result_.consistency_reason = "the guest's memory is saved with its disks";
      return;
    }
    result_.consistency = repository::Consistency::filesystem;
    const std::string obstacle = freeze_obstacle();
    if (obstacle.empty()) {
      const hypervisor::FreezeOptions limits;
      const base::Milliseconds own = now_.windows ? std::min(limits.cap, limits.windows_cap) : limits.cap;
      result_.freeze_limit_ms =
          static_cast<std::uint64_t>((options_.freeze_limit.count() > 0 ? options_.freeze_limit : own).count());
      result_.consistency_reason = "the guest's agent is connected and will be asked to freeze";
      return;
    }
    result_.consistency = repository::Consistency::crash;
    result_.consistency_reason = obstacle;
    if (options_.quiesce != Quiesce::required) return;
    base::Error error(Fault::unavailable, "the guest could not be frozen: " + obstacle);
    refuse(error.add_hint(
        "start the guest agent in the guest, or use --quiesce=try, in a policy <quiesce rule=\"try\"/>"));
  }

  void tell_how_it_went_off() {
    std::string open;
    for (const ExplainedDisk& disk : result_.disks) {
      if (disk.verdict.verdict != Verdict::include || disk.chain.empty()) continue;
      const disk::ImageInfo& image = disk.chain.front().image;
      if (open.empty() && left_open(image)) open = disk.target;
    }
    const hypervisor::ShutOff how = domain_.how_shut_off();
    const OffConsistency off = consistency_when_off(how, open);
    result_.consistency = off.consistency;
    result_.consistency_reason = off.known ? off.reason : "taken for shut down in good order: " + off.reason;
    if (std::optional<base::Error> refused = refuse_off(how, off, options_)) refuse(std::move(*refused));
    if (auto refused = refuse_saved_on_layers(domain_, now_, options_)) refuse(std::move(*refused));
    refuse_written_disks();
  }

  void refuse_written_disks() {
    for (const ExplainedDisk& disk : result_.disks) {
      if (disk.verdict.verdict != Verdict::include || disk.chain.empty()) continue;
      auto refused = refuse_written(disk.target, disk.chain.front().image.path);
      if (refused) refuse(std::move(*refused));
    }
  }

  void tell_disks() {
    const DomainView view{now_, next_ ? &*next_ : nullptr, inactive_xml_};
    const HomeCheck check = [&](const std::filesystem::path& layer, const std::filesystem::path& home) {
      return journal_ ? strange_home(connection_, *journal_, now_.uuid, layer, home) : std::string();
    };
    for (const hypervisor::DiskModel& disk : now_.disks) {
      DiskFinding finding = explain_disk(connection_, disk, view, active_, options_, check);
      if (finding.refusal) refuse(*finding.refusal);
      result_.disks.push_back(std::move(finding.disk));
    }
    if (next_) {
      for (const hypervisor::DiskModel* disk : only_at_next_start(now_, *next_, options_))
        result_.disks.push_back(explain_absent_disk(*disk));
    }
    const auto taken = [](const ExplainedDisk& disk) { return disk.verdict.verdict == Verdict::include; };
    if (result_.would_work() && std::none_of(result_.disks.begin(), result_.disks.end(), taken))
      refuse(base::Error(Fault::usage, fmt::format("domain '{}' has no disk to back up", domain_.name())));
  }

  // As the journal of this host knows them.
  void tell_homes() {
    if (!journal_) return;
    for (ExplainedDisk& disk : result_.disks) {
      if (disk.planned.home.path.empty()) continue;
      name_home(disk.planned, *journal_, result_.uuid);
      if (auto refused = refuse_strange_home(connection_, *journal_, result_.uuid, disk.planned))
        refuse(std::move(*refused));
    }
  }

  void tell_firmware() {
    const FirmwareFiles files = firmware_files(now_, connection_.uri());
    const auto tell = [&](std::string text) { result_.firmware.push_back(std::move(text)); };
    // Chosen by libvirt, it is there only once the domain was started; who is not root may not be let see it.
    std::error_code hidden;
    if (!files.nvram.empty() && (std::filesystem::exists(files.nvram, hidden) || hidden))
      tell(fmt::format("variables (NVRAM) in '{}'", files.nvram.string()));
    if (!files.tpm_folder.empty()) tell(fmt::format("the state of an emulated TPM in '{}'", files.tpm_folder.string()));
    for (const BootFile& file : boot_files(now_)) tell(fmt::format("{} '{}', booted directly", file.kind, file.path));
    for (const std::string& note : files.notes) tell(note);
  }

  // Once, though a state may stand against the snapshot and against saving the memory.
  void refuse(base::Error error) {
    const auto is_same = [&](const base::Error& known) { return std::string_view(known.what()) == error.what(); };
    if (std::none_of(result_.refusals.begin(), result_.refusals.end(), is_same))
      result_.refusals.push_back(std::move(error));
  }

  hypervisor::Connection& connection_;
  hypervisor::Domain& domain_;
  const BackupOptions& options_;
  std::optional<Journal> journal_;
  hypervisor::DomainModel now_;
  std::optional<hypervisor::DomainModel> next_;
  std::string current_xml_;
  std::string inactive_xml_;
  bool active_ = false;
  Explanation result_;
};

}  // namespace

Explanation explain_backup(const JobContext& context, const std::string& domain_name, const BackupOptions& options) {
  hypervisor::Connection connection(context.connect_uri);
  hypervisor::Domain domain = connection.domain(domain_name);
  return Explainer(connection, domain, options, context.state_dir).run();
}

}  // namespace icecore::job
