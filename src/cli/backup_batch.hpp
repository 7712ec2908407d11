// SPDX-License-Identifier: Apache-2.0
// Backs up several domains one after another: what fails for one does not stop the others, a stop request does.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "cli/command.hpp"
#include "cli/upload_session.hpp"
#include "job/backup.hpp"

namespace icecore::cli {

struct DomainOutcome {
  std::string domain;
  std::optional<job::BackupReport> report;
  std::optional<base::Error> error;  // beside a report: the point is there and could not be waited for
};

// What neither the command line nor the policy says.
void fill_from_environment(job::BackupOptions& options, const Environment& environment);

// Fault::usage when what is said of the memory does not go together.
void require_sound_memory(const job::BackupOptions& options);

// An outcome each, told on the console as it comes. Domains not begun before a stop are Fault::cancelled. With `upload`
// staged points are waited for, after all domains are on their own disks again; null: they stay pending.
std::vector<DomainOutcome> back_up_domains(JobSession& jobs, repository::Repository& repository,
                                           const std::vector<std::string>& domains, const job::BackupOptions& options,
                                           UploadSession* upload = nullptr);

// The same of a group, whose points are of one instant. Nothing is backed up when one of them cannot be.
std::vector<DomainOutcome> back_up_group(JobSession& jobs, repository::Repository& repository,
                                         const std::vector<std::string>& domains, const job::BackupOptions& options,
                                         UploadSession* upload = nullptr);

// ok; cancelled; of one domain its own fault; else partial.
ExitCode exit_code_of(const std::vector<DomainOutcome>& outcomes);

// "web1: 3f2a9c1e, filesystem, read 3.2 GiB, ..."
std::string format_report(const job::BackupReport& report);

base::Json outcomes_record(const std::vector<DomainOutcome>& outcomes);
std::vector<JsonField> outcome_fields();

}  // namespace icecore::cli
