// SPDX-License-Identifier: Apache-2.0
// What doctor says of our bitmaps in the images, and of checkpoints of ours that libvirt knows. Only what is certain.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "hypervisor/domain.hpp"
#include "job/doctor.hpp"
#include "repository/repository.hpp"

namespace icecore::job {

// What a bitmap may belong to.
struct BitmapOwners {
  repository::Repository* repository = nullptr;  // the one that was named; null: none
  std::set<std::string> known_repositories;      // ids of all this state folder has met
  std::set<std::string> open_jobs;               // ids: their points may still come
};

// One finding for each checkpoint of ours, and for each bitmap of ours that no point there can be counted from: its
// repository was never met here, or the one named has no point of it. Images that cannot be read are left out.
std::vector<Finding> diagnose_bitmaps(hypervisor::Domain& domain, const hypervisor::DomainModel& model,
                                      const BitmapOwners& owners);

}  // namespace icecore::job
