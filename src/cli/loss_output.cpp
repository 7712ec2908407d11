// SPDX-License-Identifier: Apache-2.0
#include "cli/loss_output.hpp"

#include <fmt/core.h>

#include "base/bytes.hpp"
#include "cli/point_output.hpp"

namespace icecore::cli {

std::string format_losses(const std::vector<maintenance::DiskLoss>& losses, std::uint32_t block_bytes) {
  std::string text;
  for (const maintenance::DiskLoss& loss : losses) {
    std::uint64_t blocks = 0;
    for (const repository::BlockRange& range : loss.ranges) blocks += range.count;
    text += fmt::format("  {} of {} ({}), disk {}: {} in {} place{}\n", loss.domain_name, point_time(loss.time),
                        short_id(loss.point_id), loss.disk, base::format_size(blocks * block_bytes), loss.ranges.size(),
                        loss.ranges.size() == 1 ? "" : "s");
  }
  return text;
}

std::string format_ways_out(const std::vector<maintenance::BadObject>& objects, bool losses,
                            const std::string& otherwise) {
  std::string text;
  bool others = losses;
  for (const maintenance::BadObject& bad : objects) {
    if (!bad.object.starts_with("manifests/")) {
      others = true;
    } else if (!bad.newer) {
      text += fmt::format("  try: {}\n", maintenance::way_out_for_unreadable(bad.object));
    }
  }
  if (others && !otherwise.empty()) text += fmt::format("  try: {}\n", otherwise);
  return text;
}

base::Json loss_records(const std::vector<maintenance::DiskLoss>& losses, std::uint32_t block_bytes) {
  base::Json records = base::Json::array();
  for (const maintenance::DiskLoss& loss : losses) {
    base::Json ranges = base::Json::array();
    for (const repository::BlockRange& range : loss.ranges) {
      ranges.push_back({{"offset", range.first * block_bytes}, {"length", range.count * block_bytes}});
    }
    records.push_back({{"point", loss.point_id},
                       {"domain", loss.domain_name},
                       {"time", base::format_time(loss.time)},
                       {"disk", loss.disk},
                       {"ranges", std::move(ranges)}});
  }
  return records;
}

base::Json bad_object_records(const std::vector<maintenance::BadObject>& objects) {
  base::Json records = base::Json::array();
  for (const auto& bad : objects) records.push_back({{"object", bad.object}, {"reason", bad.reason}});
  return records;
}

}  // namespace icecore::cli
