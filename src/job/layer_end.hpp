// SPDX-License-Identifier: Apache-2.0
// The end of kept layers: they are merged into the images they lie over, where their disks are at home, by jobs of
// their own, so that nothing is left behind when that is cut short.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "hypervisor/domain.hpp"
#include "job/backup.hpp"
#include "job/backup_plan.hpp"
#include "job/context.hpp"
#include "job/journal.hpp"

namespace icecore::job {

// A disk that is on a kept layer.
struct LayeredDisk {
  std::string target;
  std::filesystem::path layer;
  LayerHome home;             // the definition is not filled in
  std::size_t layers = 1;     // ours over each other; more than one after a merge that is not finished
  std::string obstacle = {};  // why it cannot be merged as it is; empty: it can
};

// Those of the domain as it is now; reads the images.
std::vector<LayeredDisk> layered_disks(const hypervisor::DomainModel& model);

// Merges the layers of these disks, one over the other until none is left, and says what it did; a disk with an
// obstacle is left as it is, and told. The caller holds the domain's lock. Faults as return_to_bases(): then the job
// stays open for recover.
std::vector<std::string> end_layers(const JobContext& context, hypervisor::Domain& domain,
                                    const std::vector<std::string>& targets);

// What a backup ends with when the domain, which is off, was saved to a file (virsh save) on the layers of disks it
// takes: what was saved names them, and they would be merged. `model` is the domain as it is now.
std::optional<base::Error> refuse_saved_on_layers(hypervisor::Domain& domain, const hypervisor::DomainModel& model,
                                                  const BackupOptions& options);

// Before a backup: ends the layers of the disks it takes, unless it goes on with them (change map layer) or leaves
// everything as it is (copy). Fault::conflict, and nothing is begun, when the domain was saved on them.
std::vector<std::string> end_layers_before_backup(const JobContext& context, hypervisor::Domain& domain,
                                                  const BackupOptions& options);

}  // namespace icecore::job
