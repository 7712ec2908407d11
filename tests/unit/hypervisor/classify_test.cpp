// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/classify.hpp"

#include <gtest/gtest.h>

#include <map>

#include "unit/hypervisor/fixture_xml.hpp"

namespace icecore::hypervisor {
namespace {

struct Expected {
  Verdict verdict;
  std::string reason_part;
};

void expect_verdicts(const std::string& fixture, bool running, const std::map<std::string, Expected>& expected) {
  const DomainModel model = parse_domain(fixture_xml(fixture));
  ASSERT_EQ(model.disks.size(), expected.size());
  for (const DiskModel& disk : model.disks) {
    const DiskVerdict verdict = classify(disk, running);
    const Expected& wanted = expected.at(disk.target);
    EXPECT_EQ(to_string(verdict.verdict), to_string(wanted.verdict)) << disk.target;
    EXPECT_NE(verdict.reason.find(wanted.reason_part), std::string::npos) << disk.target << ": " << verdict.reason;
    // Never silent.
    EXPECT_EQ(verdict.reason.empty(), verdict.verdict == Verdict::include) << disk.target;
  }
}

TEST(Classify, OrdinaryDisksAreIncludedAndMediaSkipped) {
  expect_verdicts(
      "plain", false,
      {{"vda", {Verdict::include, ""}}, {"vdb", {Verdict::include, ""}}, {"sda", {Verdict::skip, "CD-ROM"}}});
}

TEST(Classify, EveryOddDiskHasItsReason) {
  expect_verdicts("odd_disks", true,
                  {{"vda", {Verdict::include, ""}},
                   {"hda", {Verdict::skip, "CD-ROM"}},
                   {"fda", {Verdict::skip, "floppy"}},
                   {"vdb", {Verdict::skip, "read-only"}},
                   {"vdc", {Verdict::refuse, "shared"}},
                   {"vdd", {Verdict::refuse, "transient"}},
                   {"sda", {Verdict::refuse, "lun"}},
                   {"vde", {Verdict::refuse, "network disk (rbd)"}},
                   {"vdf", {Verdict::refuse, "vhost"}},
                   {"vdg", {Verdict::include, ""}},
                   {"vdh", {Verdict::refuse, "NVMe"}},
                   {"vdi", {Verdict::refuse, "host folder"}},
                   {"vdj", {Verdict::refuse, "no image format"}},
                   {"vdk", {Verdict::refuse, "'vmdk'"}},
                   {"vdl", {Verdict::include, ""}},
                   {"sdz", {Verdict::refuse, "sd bus"}}});
}

TEST(Classify, AVolumeWithoutAPathIsRefusedWithTheReason) {
  DomainModel model = parse_domain(fixture_xml("odd_disks"));
  for (DiskModel& disk : model.disks) {
    if (disk.target != "vdg") continue;
    disk.source.unresolved = "libvirt knows no storage pool 'default'";
    EXPECT_EQ(classify(disk, true).verdict, Verdict::refuse);
    EXPECT_EQ(classify(disk, true).reason, disk.source.unresolved);
  }
}

TEST(Classify, ADiskWithAJobIsBusyWhileRunning) {
  expect_verdicts(
      "running", true,
      {{"vda", {Verdict::busy, "active-commit"}}, {"vdb", {Verdict::include, ""}}, {"vdc", {Verdict::busy, "copy"}}});
}

TEST(Classify, AnEmptyHardDiskIsSkipped) {
  DiskModel disk;
  disk.target = "vda";
  disk.device = "disk";
  EXPECT_EQ(classify(disk, true).verdict, Verdict::skip);
}

}  // namespace
}  // namespace icecore::hypervisor
