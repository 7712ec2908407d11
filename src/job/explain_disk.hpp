// SPDX-License-Identifier: Apache-2.0
// What a backup would do with one disk.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "hypervisor/connection.hpp"
#include "job/disk_plan.hpp"
#include "job/explanation.hpp"

namespace icecore::job {

struct DiskFinding {
  ExplainedDisk disk;
  std::optional<base::Error> refusal;  // what a backup would end with because of it
};

// Why a layer is not to be merged into the image below it; empty: it may be.
using HomeCheck = std::function<std::string(const std::filesystem::path& layer, const std::filesystem::path& home)>;

// Reads images' headers, and the XML of the other domains to see who else uses them.
DiskFinding explain_disk(hypervisor::Connection& connection, const hypervisor::DiskModel& disk,
                         const DomainView& domain, bool running, const BackupOptions& options, const HomeCheck& check);

// Of a disk that only the next start has (disk_choice.hpp).
ExplainedDisk explain_absent_disk(const hypervisor::DiskModel& disk);

// What is to be said of overlays that share a file system too small for the worst case.
std::vector<Advice> room_advice(const std::vector<ExplainedDisk>& disks);

}  // namespace icecore::job
