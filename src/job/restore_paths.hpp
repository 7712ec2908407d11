// SPDX-License-Identifier: Apache-2.0
// Where each disk of a restore goes, and what must not be there: nothing that exists or is in use is written over,
// except what was named for it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hypervisor/connection.hpp"
#include "job/restore_plan.hpp"

namespace icecore::job {

// The disks asked for, files first and devices last: what can fail fails before a device is written over.
// Fault::not_found for a target the point has not, usage for a path or format of a disk that is not restored.
std::vector<const repository::ManifestDisk*> choose_disks(const repository::Manifest& manifest,
                                                          const RestoreOptions& options);

// `folder`: where disks without a path of their own go; empty: where they were.
PlannedFile plan_file(const repository::Manifest& manifest, const repository::ManifestDisk& disk,
                      const RestoreOptions& options, const std::optional<std::filesystem::path>& folder,
                      const std::string& job_id);

// Refuses a path that exists (with replace: and is not the domain's), has no folder or is used by a domain; a device
// that is not meant to be written over, is too small, mounted or held, or used by a domain. `connection` may be null
// only when no device is among them.
void require_free_places(hypervisor::Connection* connection, const PreparedRestore& prepared,
                         const repository::Manifest& manifest, const RestoreOptions& options);

// The domain whose disks may give way when it is shut off; empty for a second domain beside it.
std::string replaceable_domain(const repository::Manifest& manifest, const RestoreOptions& options);

}  // namespace icecore::job
