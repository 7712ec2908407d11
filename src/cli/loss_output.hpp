// SPDX-License-Identifier: Apache-2.0
// What a repository lost, as people and programs read it. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/json.hpp"
#include "maintenance/survey.hpp"

namespace icecore::cli {

// "web1 of 2026-11-21T09:30:12Z (3f2a9c1e), disk vda: 1.5 MiB in 3 places", one a line.
std::string format_losses(const std::vector<maintenance::DiskLoss>& losses, std::uint32_t block_bytes);

base::Json loss_records(const std::vector<maintenance::DiskLoss>& losses, std::uint32_t block_bytes);
// "  try: ..." lines: for points that are damaged themselves, which no repair can read, and for all else `otherwise`,
// which may be empty.
std::string format_ways_out(const std::vector<maintenance::BadObject>& objects, bool losses,
                            const std::string& otherwise);
base::Json bad_object_records(const std::vector<maintenance::BadObject>& objects);

}  // namespace icecore::cli
