// SPDX-License-Identifier: Apache-2.0
// Tells what a backup of a domain would do and why, before anything is touched: by the same choices a backup makes.
#pragma once

#include "job/backup.hpp"
#include "job/context.hpp"
#include "job/explanation.hpp"

namespace icecore::job {

// Changes nothing. What a backup would be refused for is in the explanation; throws when libvirt does not answer, there
// is no such domain, or the options name disks it does not have.
Explanation explain_backup(const JobContext& context, const std::string& domain, const BackupOptions& options);

}  // namespace icecore::job
