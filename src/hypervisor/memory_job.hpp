// SPDX-License-Identifier: Apache-2.0
// libvirt's job that saves a domain's memory as part of a snapshot: watched while it runs, and ended.
#pragma once

#include <functional>
#include <stop_token>
#include <string>

#include "base/clock.hpp"
#include "hypervisor/domain.hpp"
#include "hypervisor/internal_command.hpp"

struct _virDomain;

namespace icecore::hypervisor {

class LibvirtWorker;
struct CallResult;

struct MemoryJob {
  bool active = false;
  BlockJobProgress progress;  // bytes; what the guest writes meanwhile is saved again, so it may pass the total
};

// For this room only: asks libvirt; below zero when it refused.
int read_memory_job(_virDomain* domain, MemoryJob& job);

struct MemoryWatch {
  // Called at every look, with a total of 0 as long as libvirt tells of no job. May throw: then the job is ended.
  std::function<void(std::uint64_t done, std::uint64_t total)> on_progress = {};
  std::stop_token stop = {};
  base::Milliseconds silence_max = std::chrono::seconds(60);  // without a byte more
  // The domain's own limit (max_downtime.hpp): a shorter one holds while its memory is saved. 0: it is not touched.
  base::Milliseconds own_downtime{0};
};

// Takes the snapshot of `xml` by `worker` and waits for its end, however long that takes as long as bytes come. On a
// stop, silence, or a guest that writes its memory faster than it can be saved the job is ended first:
// Fault::cancelled, busy, or unavailable. What libvirt said is in the result.
CallResult save_memory(Domain& domain, LibvirtWorker& worker, const HelperProgram& helper, const std::string& xml,
                       unsigned flags, const MemoryWatch& watch);

// Ends a snapshot's job on the domain and waits until libvirt has put the domain back; nothing when there is none.
// Fault::busy when it does not end.
void end_memory_job(Domain& domain, const HelperProgram& helper = {});

}  // namespace icecore::hypervisor
