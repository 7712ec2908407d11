// SPDX-License-Identifier: Apache-2.0
// A process with a libvirt connection of its own that makes the calls which can hang inside libvirt (snapshot; bitmaps;
// start, progress and end of a commit; jobs that move memory). At a call's deadline the process is killed and we go on;
// libvirt may still finish the call, so the domain's XML, not the lost answer, says what happened.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "base/process.hpp"
#include "hypervisor/domain.hpp"
#include "hypervisor/internal_command.hpp"

namespace icecore::hypervisor {

struct CallResult {
  bool ok = false;
  int code = 0;         // VIR_ERR_* when not ok
  std::string message;  // libvirt's
  base::Milliseconds elapsed{0};
  BlockJobProgress progress;           // of block_job() and memory_job(); zero when there is none
  bool saves_memory = false;           // of memory_job(): one is under way
  bool has_job = false;                // of block_job(): libvirt knows of one, though it may not have begun to move
  base::Milliseconds paused{0};        // of a snapshot after watch_pauses(): how long its vCPUs stood still
  base::Milliseconds max_downtime{0};  // of max_downtime()

  // The daemon or the helper process died during the call: it may or may not have been carried out.
  bool connection_lost() const noexcept;
  // Throws what libvirt said, unless ok.
  void check(std::string what) const;
};

class LibvirtWorker {
 public:
  // Returns when the process is connected and knows the domain, so that a call costs only the call.
  LibvirtWorker(Domain& domain, const HelperProgram& helper);

  // From now on the answer to a snapshot with memory tells how long the domain stood still; without this, nothing.
  void watch_pauses(base::Milliseconds deadline);
  CallResult snapshot(const std::string& xml, unsigned flags, base::Milliseconds deadline);
  // The same in two steps, for one that saves memory and takes as long as that takes: the answer, or nothing at the
  // deadline; then ask again. Throws nothing but what stops the process.
  void begin_snapshot(const std::string& xml, unsigned flags);
  std::optional<CallResult> snapshot_answer(base::Milliseconds deadline);
  // What libvirt is doing with the domain's memory, and the end of that.
  CallResult memory_job(base::Milliseconds deadline);
  CallResult abort_memory_job(base::Milliseconds deadline);
  // See max_downtime.hpp.
  CallResult max_downtime(base::Milliseconds deadline);
  CallResult set_max_downtime(base::Milliseconds limit, base::Milliseconds deadline);
  // Starts the domain from a file of saved memory.
  CallResult restore(const std::string& file, const std::string& xml, unsigned flags, base::Milliseconds deadline);
  CallResult create_bitmap(const std::string& name, const std::string& xml, base::Milliseconds deadline);
  CallResult discard_bitmap(const std::string& name, const std::string& xml, base::Milliseconds deadline);
  CallResult forget_checkpoints(const std::string& prefix, base::Milliseconds deadline);
  CallResult commit(const std::string& disk, const std::string& base, const std::string& top,
                    std::uint64_t bandwidth_bytes, unsigned flags, base::Milliseconds deadline);
  CallResult end_job(const std::string& disk, unsigned flags, base::Milliseconds deadline);
  CallResult block_job(const std::string& disk, base::Milliseconds deadline);

 private:
  void start();
  // Throws Fault::busy when the call does not end in time; the next call starts a new process.
  CallResult call(const base::Json& request, base::Milliseconds deadline);
  void send(const base::Json& request);
  static CallResult parse_answer(const std::string& line);
  CallResult died();
  CallResult give_up(const std::string& name, base::Milliseconds deadline);

  std::string domain_name_;
  base::Command command_;
  std::optional<base::Child> child_;
};

// The process itself: URI, UUID. Reads one JSON request a line from standard input, answers one a line.
int libvirt_worker_main(const std::vector<std::string>& arguments);

}  // namespace icecore::hypervisor
