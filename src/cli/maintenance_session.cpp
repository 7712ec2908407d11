// SPDX-License-Identifier: Apache-2.0
#include "cli/maintenance_session.hpp"

namespace icecore::cli {

maintenance::Watch make_watch(JobSession& jobs) {
  maintenance::Watch watch;
  watch.stop = jobs.stop();
  watch.on_phase = [&jobs](std::string_view phase) { jobs.progress().phase("repository", phase); };
  watch.on_bytes = [&jobs](std::uint64_t done, std::uint64_t total) {
    jobs.progress().transfer({.bytes_total = total, .bytes_done = done});
  };
  return watch;
}

std::filesystem::path history_file(const Session& session, const repository::Repository& repository) {
  return session.options.state_dir / "verify" / repository.config().repository_id;
}

}  // namespace icecore::cli
