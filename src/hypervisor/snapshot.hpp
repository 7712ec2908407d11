// SPDX-License-Identifier: Apache-2.0
// The external snapshot: every included disk gets its overlay in one atomic call, every other disk is named with
// snapshot='no', and libvirt keeps no snapshot of its own (NO_METADATA). Running and shut-off domains alike; of one
// that is active its memory too, of the same instant.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "hypervisor/domain.hpp"
#include "hypervisor/internal_command.hpp"
#include "hypervisor/libvirt_worker.hpp"
#include "hypervisor/memory_job.hpp"
#include "hypervisor/overlay_disk.hpp"

namespace icecore::hypervisor {

struct MemoryCapture {
  std::string file;    // must not exist; libvirt's save format
  bool pause = false;  // false: the guest runs on until the last pages
};

struct SnapshotOptions {
  base::Milliseconds deadline = std::chrono::seconds(60);  // without memory
  std::optional<MemoryCapture> memory = {};
  bool overlays_exist = false;  // made before, empty (disk/overlay_image.hpp); not together with memory
  HelperProgram helper;
};

struct SnapshotReport {
  base::Milliseconds call{0};    // libvirt's call alone
  base::Milliseconds paused{0};  // how long the vCPUs stood still; of the end of a call that saves memory
};

// In two steps, so that only take() lies inside the frozen window:
//   Snapshot snapshot(domain, disks); ... freeze ... snapshot.take(); ... thaw ... snapshot.confirm();
class Snapshot {
 public:
  // Checks that each disk is on its base and no overlay exists (or each does), and connects the process that will make
  // the call. Throws Fault::conflict or usage; nothing is changed.
  Snapshot(Domain& domain, std::vector<OverlayDisk> disks, SnapshotOptions options = {});

  // All disks or none. Fault::busy at the deadline: then libvirt may still be at it, and only the domain's XML tells.
  // `watch` is for one with memory. A failure leaves no memory file, if libvirt lives.
  // A shut-off domain whose overlays exist is given them by its definition, in one step as well.
  SnapshotReport take(const MemoryWatch& watch = {});

  // Throws Fault::conflict unless the XML shows every disk on its overlay, directly over its base.
  void confirm();

 private:
  SnapshotReport define_on_overlays();

  Domain& domain_;
  std::vector<OverlayDisk> disks_;
  SnapshotOptions options_;
  std::string xml_;
  LibvirtWorker worker_;
};

// Fault::conflict when the domain has a saved memory image (managed save), to which its disks belong: taken without it
// they look like after a power cut, and a start in between would run past the overlay.
void refuse_managed_save(Domain& domain);

// Fault::conflict for a domain whose guest sleeps (S3), of which libvirt takes no snapshot; else nothing.
std::optional<base::Error> refuse_suspended(const std::string& name, DomainState state);

// The three steps one after another, for when nothing is frozen.
SnapshotReport create_snapshot(Domain& domain, std::vector<OverlayDisk> disks, SnapshotOptions options = {});

// The <domainsnapshot> for the disks; `model` provides the others. `memory_file` empty: disks only.
std::string snapshot_xml(const DomainModel& model, const std::vector<OverlayDisk>& disks,
                         const std::string& memory_file = {});

}  // namespace icecore::hypervisor
