// SPDX-License-Identifier: Apache-2.0
#include "cli/job_session.hpp"

namespace icecore::cli {

JobSession::JobSession(Session& session)
    : session_(session),
      progress_(make_progress_display(progress_style(session.console, session.options.quiet), session.console,
                                      steady_moment())),
      stop_([this] { progress_->note("icecore", "stopping; what was begun is put back first"); }) {}

job::JobContext JobSession::context() {
  return {.state_dir = session_.options.state_dir,
          .connect_uri = session_.options.connect_uri,
          .progress = *progress_,
          .stop = stop_.token()};
}

}  // namespace icecore::cli
