// SPDX-License-Identifier: Apache-2.0
// Bringing overlays back into their bases while the domain runs. May be called again at any moment of its own life,
// by this or another process: a job that runs is joined, a disk that is back is done.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "hypervisor/domain.hpp"
#include "hypervisor/internal_command.hpp"
#include "hypervisor/overlay_disk.hpp"

namespace icecore::hypervisor {

struct CommitOptions {
  std::uint64_t bandwidth_bytes = 0;  // a second and disk; 0: no limit
  // A job may take as long as it needs, but not this long without a byte moved.
  base::Milliseconds stall_deadline = std::chrono::minutes(2);
  base::Milliseconds call_deadline = std::chrono::seconds(60);
  base::Milliseconds poll = base::Milliseconds(150);
  // Called once, before the first commit is ended with the base as the active image. Until it is, whatever happens to
  // the guest, its newest data are whole in the overlays; what it throws ends the commit like any other error.
  std::function<void()> before_pivot;
  HelperProgram helper;
};

enum class CommitOutcome {
  committed,       // every disk is on its base in the live and the persistent XML; the overlays may be unlinked
  domain_stopped,  // not running (any more): finish with commit_offline() and redefine_disk_source()
};

struct CommitReport {
  CommitOutcome outcome = CommitOutcome::committed;
  base::Milliseconds elapsed{0};
  bool joined = false;                   // found jobs that an earlier call had started
  bool persistent_was_repaired = false;  // the persistent XML was not as it had been
};

// Over all disks, as libvirt counts: the total grows when the guest writes.
using CommitProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

// Starts a commit on every disk before ending any (an AppArmor profile reloaded by the first end would forbid the
// later starts), ends them when the XML says ready='yes', checks live and persistent XML. Only the overlay goes into
// its direct base: images of the user's below are not touched. No file is removed.
// On stop or error the jobs are cancelled; the guest then goes on on its complete overlays and a later call may
// finish. Faults: cancelled; conflict when a disk is elsewhere or the domain on another host; unavailable when a job
// stalls or keeps failing.
CommitReport commit_overlays(Domain& domain, std::span<const OverlayDisk> disks, const CommitOptions& options,
                             std::stop_token stop = {}, const CommitProgress& progress = {});

// An offline merge of images that another host's QEMU writes would destroy them: Fault::conflict when the domain was
// migrated there. `images` for the message: "overlays".
void refuse_migrated(Domain& domain, std::string_view images);

}  // namespace icecore::hypervisor
