// SPDX-License-Identifier: Apache-2.0
// The states of a job and which may follow which. A state is a fact: it is reached after its step was done.
// From `sealed` on a backup only goes forwards: its data is durable and its overlay must come back down.
#pragma once

#include <string_view>

namespace icecore::job {

enum class JobKind {
  backup,
  restore,
  merge,  // kept layers are merged into their bases, for good
};

enum class JobState {
  planned,      // all names are journalled, nothing was touched
  frozen,       // backup: the freeze step is over (the guest may or may not be quiesced)
  snapshotted,  // backup: the guest writes to overlays, the bases are frozen layers
  thawed,       // backup: the guest runs freely
  reading,      // backup: blocks are being stored
  sealed,       // backup: every block and the index are durable; the manifest is in the journal
  committing,   // backup, merge: overlays are being merged down
  committed,    // backup, merge: the domain is where it belongs, live and persistent; what was merged is gone
  uploading,    // backup: the manifest is about to be published; with staging it is in the queue of the spool
  published,    // backup: the restore point exists; with staging the job ends before
  writing,      // restore: disk files are being written
  written,      // restore: disk files are complete and durable
  defined,      // restore: the domain is defined on them
  aborting,     // the job is being undone
  done,
  failed,  // undone; nothing of the job is left
};

std::string_view to_string(JobState state) noexcept;
std::string_view to_string(JobKind kind) noexcept;
// Fault::corrupt for a word that is no state (kind).
JobState parse_state(std::string_view text);
JobKind parse_kind(std::string_view text);

// Whether a job of this kind may go from `from` to `to`. Re-entering a state is allowed: every step can be.
bool may_follow(JobKind kind, JobState from, JobState to) noexcept;

// done and failed: nothing is left to do.
bool is_final(JobState state) noexcept;

}  // namespace icecore::job
