// SPDX-License-Identifier: Apache-2.0
#include "job/io_error.hpp"

#include "base/error.hpp"
#include "base/log.hpp"
#include "hypervisor/domain.hpp"

namespace icecore::job {

void resume_after_io_error(hypervisor::Connection& connection, const std::string& domain_uuid, Progress& progress) {
  try {
    if (!connection.has_domain(domain_uuid)) return;
    hypervisor::Domain domain = connection.domain(domain_uuid);
    if (!domain.paused_by_io_error()) return;
    domain.resume();
    progress.note(domain.name(), "the guest was paused by an I/O error on its overlay, and goes on");
  } catch (const base::Error& error) {
    base::log_warning("a guest that an I/O error may have paused could not be resumed: {}", error.what());
  }
}

}  // namespace icecore::job
