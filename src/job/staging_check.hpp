// SPDX-License-Identifier: Apache-2.0
// What doctor says about staging: restore points that are on this host only.
#pragma once

#include <filesystem>

#include "job/doctor.hpp"

namespace icecore::job {

// One finding for each spool with points that wait, and one for each point that cannot be published and that no later
// one of its domain has made up for. Changes nothing. `upload` is the command that uploads from there.
std::vector<Finding> diagnose_staging(const std::filesystem::path& staging_dir, const std::string& upload,
                                      base::Timestamp now);

}  // namespace icecore::job
