// SPDX-License-Identifier: Apache-2.0
#include "cli/point_output.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/bytes.hpp"

namespace icecore::cli {
namespace {

using base::k_gib;
using base::k_mib;
using testing::HasSubstr;

repository::Manifest sample() {
  repository::Manifest point;
  point.id = "3f2a9c1e00112233445566778899aabb";
  point.domain_name = "web1";
  point.domain_uuid = "7c2f0a3e-4f55-4a51-9d52-0a7c3f1f2b11";
  point.host = "host1";
  point.time = base::parse_time("2026-11-21T09:30:12.345Z");
  point.consistency = repository::Consistency::filesystem;
  point.freeze_ms = 41;
  point.snapshot_ms = 12;
  point.duration_ms = 12'300;
  point.tool_version = "0.1.0";
  repository::ManifestDisk disk;
  disk.target = "vda";
  disk.format = "qcow2";
  disk.source_path = "/images/web1.qcow2";
  disk.virtual_size = 8 * k_gib;
  disk.bytes_stored = 100 * k_mib;
  disk.change_map = "scan";
  disk.change_map_reason = "first point of this disk";
  point.disks.push_back(disk);
  disk.target = "vdb";
  disk.virtual_size = 2 * k_gib;
  point.disks.push_back(disk);
  point.skipped.push_back({"hda", "it is a CD-ROM drive"});
  point.bytes_new = 300 * k_mib;
  point.bytes_stored = 200 * k_mib;
  return point;
}

TEST(PointOutput, ListIsOneLineAPoint) {
  EXPECT_EQ(
      format_point_list({sample()}),
      "ID        DOMAIN  TIME (UTC)            MODE       CONSISTENCY      SIZE     STORED  CHANGES BY  DISKS\n"
      "3f2a9c1e  web1    2026-11-21T09:30:12Z  disk-only  filesystem   10.0 GiB  200.0 MiB  scan        vda,vdb\n");
}

TEST(PointOutput, ShowHasEveryFact) {
  const std::string text = format_point(sample());
  for (const char* fact : {"3f2a9c1e00112233445566778899aabb", "7c2f0a3e", "host1", "filesystem", "41 ms", "12 ms",
                           "12.3 s", "300.0 MiB, stored as 200.0 MiB", "/images/web1.qcow2", "without hda:", "CD-ROM",
                           "changes of vda:", "scan: first point"}) {
    EXPECT_THAT(text, HasSubstr(fact));
  }
}

// Help documents the record field by field: neither may know a field the other does not.
TEST(PointOutput, RecordIsWhatHelpDocuments) {
  std::set<std::string> documented;
  for (const JsonField& field : point_fields("")) {
    std::string_view rest = field.name;
    while (!rest.empty()) {
      std::string_view name = rest.substr(0, rest.find(", "));
      rest.remove_prefix(std::min(name.size() + 2, rest.size()));
      if (name.ends_with("[]")) name.remove_suffix(2);
      documented.emplace(name);
    }
  }
  std::set<std::string> printed;
  const base::Json record = point_record(sample());
  for (const auto& [name, value] : record.items()) printed.insert(name);
  EXPECT_EQ(printed, documented);
}

TEST(PointOutput, TimesKeepTheirMillisecondsInRecords) {
  EXPECT_EQ(point_record(sample())["time"], "2026-11-21T09:30:12.345Z");
}

}  // namespace
}  // namespace icecore::cli
