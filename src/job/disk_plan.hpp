// SPDX-License-Identifier: Apache-2.0
// What a backup does with one disk it takes: its chain, its overlay; and whether that can work.
#pragma once

#include "job/backup.hpp"
#include "job/backup_plan.hpp"

namespace icecore::job {

// Of the domain as it is before anything was touched.
struct DomainView {
  const hypervisor::DomainModel& now;
  const hypervisor::DomainModel* next_start;  // null for a transient domain
  const std::string& inactive_xml;            // empty for a transient domain
};

struct DiskPlan {
  PlannedDisk planned;
  std::vector<disk::ImageInfo> chain;  // top first
  std::size_t layers = 0;              // ours at its top, over the home
  // What the disk is but for them.
  const disk::ImageInfo& home() const { return chain.at(layers); }
  std::string no_layer = {};  // why none is kept although one was asked for
};

// Reads, changes nothing. Fault::conflict (an overlay of ours left there, another image at the next start, a chain that
// does not say its formats), usage or not_found (no folder for the overlay), no_space, and what reading the images
// throws.
DiskPlan plan_disk(const hypervisor::DiskModel& disk, const DomainView& domain, const BackupOptions& options,
                   const std::string& job_id);

// What of an image will not be in the backup, for people.
std::vector<std::string> notes_on_image(const std::string& target, const disk::ImageInfo& image);

}  // namespace icecore::job
