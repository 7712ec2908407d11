// SPDX-License-Identifier: Apache-2.0
// What a command that runs jobs adds to its session: signals that become a stop request, a progress display,
// and the job's context made of both.
#pragma once

#include <memory>

#include "cli/progress_display.hpp"
#include "cli/session.hpp"
#include "daemon/stop_on_signal.hpp"
#include "job/context.hpp"

namespace icecore::cli {

class JobSession {
 public:
  // Make it before anything that starts threads. `session` must outlive it.
  explicit JobSession(Session& session);

  Session& session() noexcept { return session_; }
  ProgressDisplay& progress() noexcept { return *progress_; }
  std::stop_token stop() const noexcept { return stop_.token(); }
  job::JobContext context();

 private:
  Session& session_;
  std::unique_ptr<ProgressDisplay> progress_;
  daemon::StopOnSignal stop_;
};

}  // namespace icecore::cli
