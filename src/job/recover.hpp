// SPDX-License-Identifier: Apache-2.0
// Puts back what a killed or failed job left: thaws guests, merges overlays down (live or offline), removes
// half-made restores, publishes points that were sealed. Touches only what the journal owns; overlays with our names
// that it does not know are merged when their domain is named.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hypervisor/domain.hpp"
#include "job/context.hpp"
#include "repository/repository.hpp"

namespace icecore::job {

struct RecoveredJob {
  std::string job_id;  // empty: an overlay of ours that no journal knows, or kept layers that were to end
  std::string domain_name;
  bool of_layers = false;            // its kept layers end
  bool at_work = false;              // another icecore has the domain now: nothing was looked at
  std::vector<std::string> actions;  // what was done, or with dry_run would be
  bool finished = false;             // nothing of the job is left
  std::string problem;               // why not finished, or what is lost for good; and the next command
};

struct RecoverReport {
  std::vector<RecoveredJob> jobs;
};

struct RecoverOptions {
  std::optional<std::string> domain;  // name or UUID; empty: all
  bool dry_run = false;               // looks only: holds no lock, makes no journal
  bool close = false;                 // leaves the disks of `domain`, which is named then, as they are
  bool merge_layers = false;          // also ends the kept layers of `domain`, which is named then
};

// Opens the repository with this URL for publishing a sealed point, over the staging folder its blocks are in (empty:
// none); returns null when it cannot (no key here): the overlays are merged all the same and the job stays open.
using OpenRepository =
    std::function<std::shared_ptr<repository::Repository>(const std::string& url, const std::string& staging)>;

RecoverReport recover(const JobContext& context, const RecoverOptions& options, const OpenRepository& open_repository);

// The same for what an earlier backup of this domain left, as the first step of the next one; the caller holds
// the domain's lock. What goes wrong is only noted: whether the domain is fit for a backup is asked afterwards.
void recover_before_backup(const JobContext& context, hypervisor::Connection& connection,
                           repository::Repository& repository, hypervisor::Domain& domain);

// The same as the first step of a restore of this domain, which may not be there. Fault::conflict when the disks an
// earlier job left are not in order: it would be finished later, over what was restored, or merged into it.
void recover_before_restore(const JobContext& context, hypervisor::Connection& connection,
                            repository::Repository& repository, const std::string& domain_uuid,
                            const std::string& domain_name);

}  // namespace icecore::job
