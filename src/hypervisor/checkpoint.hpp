// SPDX-License-Identifier: Apache-2.0
// Persistent dirty bitmaps of a running domain's qcow2 disks: made and removed by way of libvirt's checkpoints, of
// which libvirt keeps nothing. The bitmap in the image is all there is: with a checkpoint that libvirt knows of, a
// domain can neither be undefined nor get an external snapshot while it is off, and other tools meet a stranger.
// libvirt copies the bitmaps into each overlay it makes and merges them back with a block commit, whoever made them;
// without libvirt, QEMU marks in the base whatever a commit writes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "hypervisor/domain.hpp"
#include "hypervisor/internal_command.hpp"
#include "hypervisor/libvirt_worker.hpp"

namespace icecore::hypervisor {

struct CheckpointOptions {
  base::Milliseconds deadline = std::chrono::seconds(60);  // of each call
  HelperProgram helper;
};

// One thread at a time. The domain outlives it.
class Checkpoints {
 public:
  // Connects the process that makes the calls. Throws Fault::unavailable.
  explicit Checkpoints(Domain& domain, CheckpointOptions options = {});

  // From this instant on the bitmap `name` of each of the disks marks what is written: all disks or none. Throws
  // Fault::conflict when libvirt or QEMU cannot (not running, not qcow2, the name is taken), busy at the deadline.
  void create(const std::string& name, const std::vector<std::string>& targets);

  // Removes the bitmap from the disks, each of which has it, also an inconsistent one. Faults as create(); then nothing
  // is removed.
  void discard(const std::string& name, const std::vector<std::string>& targets);

  // Lets libvirt forget checkpoints whose names begin so; their bitmaps stay. A process killed within create() or
  // discard() may leave one. Works on a domain that is off too.
  void forget(const std::string& prefix);

 private:
  Domain& domain_;
  CheckpointOptions options_;
  LibvirtWorker worker_;
};

// The names of the checkpoints libvirt knows of the domain, whoever made them. None where it knows no checkpoints.
std::vector<std::string> known_checkpoints(Domain& domain);

// The <domaincheckpoint> for a bitmap on these disks; all other disks of the model are named with checkpoint='no'.
std::string checkpoint_xml(const DomainModel& model, const std::string& name, const std::vector<std::string>& targets);

}  // namespace icecore::hypervisor
