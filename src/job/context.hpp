// SPDX-License-Identifier: Apache-2.0
// What every job needs from outside.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>

#include "base/error.hpp"
#include "job/progress.hpp"

namespace icecore::job {

struct JobContext {
  std::filesystem::path state_dir;  // journal, index cache
  std::string connect_uri = "qemu:///system";
  Progress& progress;    // outlives the job
  std::stop_token stop;  // asks the job to end cleanly; safety is never skipped for it
};

// Throws Fault::cancelled when the context's stop is requested: a place where a backup may end.
inline void stop_here_if_asked(const JobContext& context, const std::string& domain_name) {
  if (context.stop.stop_requested())
    base::fail(base::Fault::cancelled, "the backup of '{}' was interrupted", domain_name);
}

// Where the repositories' index caches live.
inline std::filesystem::path cache_folder(const JobContext& context) { return context.state_dir / "cache"; }

}  // namespace icecore::job
