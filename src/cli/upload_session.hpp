// SPDX-License-Identifier: Apache-2.0
// Uploading from a command: the words for it, the uploader beside a command's jobs, and draining all spools.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "cli/command_parser.hpp"
#include "cli/exit_code.hpp"
#include "cli/job_session.hpp"
#include "staging/uploader.hpp"

namespace icecore::cli {

// --limit-upload and --keep-local.
void declare_upload_words(WordList& words, staging::UploadOptions& options);

// Uploads what the repository's jobs stage while it lives; there is none over a storage without staging.
class UploadSession {
 public:
  // All outlive it.
  UploadSession(JobSession& jobs, OpenRepository& open, const staging::UploadOptions& options);
  UploadSession(const UploadSession&) = delete;
  UploadSession& operator=(const UploadSession&) = delete;

  // Waits until the staged point is on the remote. Throws what keeps it from there, with what state it is in now.
  void wait_for(const repository::Manifest& point);
  // Whether it is complete in staging, and goes up with the next upload.
  bool is_waiting(const repository::Manifest& point) const;

 private:
  JobSession& jobs_;
  staging::SpooledStorage* storage_;  // null: nothing is staged
  std::unique_ptr<staging::Uploader> uploader_;
};

struct SpoolOutcome {
  staging::SpoolPlace place;
  staging::UploadReport report;
  std::optional<base::Error> error;
};

// A repository that does not answer holds up the next one for no longer.
constexpr base::Milliseconds k_turn_stall_max = std::chrono::seconds(15);

// Uploads what waits in the spools of this session's staging folder. A spool that fails does not stop the others: one
// whose remote does not answer gives way to the next after `turn`, and has another one, until options.stall_max is over
// for it. Ones with nothing to do are not opened and not in the result.
std::vector<SpoolOutcome> drain_spools(JobSession& jobs, const staging::UploadOptions& options,
                                       base::Milliseconds turn = k_turn_stall_max);

// Removes the points that cannot be published from the spools of this session's staging folder; returns them.
std::vector<staging::RefusedPoint> drop_refused(const Session& session);

ExitCode exit_code_of(const std::vector<SpoolOutcome>& outcomes);

// The ids of points that are complete in staging and not on the remote.
std::set<std::string> pending_points(storage::Storage& storage);

}  // namespace icecore::cli
