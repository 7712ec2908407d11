// SPDX-License-Identifier: Apache-2.0
#include "job/disk_choice.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "job/explain_disk.hpp"

namespace icecore::job {
namespace {

using hypervisor::DiskModel;
using hypervisor::DomainModel;
using hypervisor::SourceKind;
using testing::ElementsAre;
using testing::IsEmpty;

DiskModel disk(const std::string& target, SourceKind kind = SourceKind::file) {
  DiskModel model;
  model.target = target;
  model.device = "disk";
  model.bus = "virtio";
  model.source = {.kind = kind, .path = "/images/" + target + ".qcow2", .format = "qcow2"};
  return model;
}

DomainModel with(std::vector<DiskModel> disks) {
  DomainModel model;
  model.disks = std::move(disks);
  return model;
}

std::vector<std::string> targets_at_next_start(const DomainModel& now, const DomainModel& next,
                                               const BackupOptions& options = {}) {
  std::vector<std::string> targets;
  for (const DiskModel* found : only_at_next_start(now, next, options)) targets.push_back(found->target);
  return targets;
}

TEST(DiskChoice, ADiskOfTheNextStartAloneIsFoundWhateverItsKind) {
  const DomainModel now = with({disk("vda"), disk("vdb")});
  const DomainModel next = with({disk("vda"), disk("vdc"), disk("vdd", SourceKind::network)});
  EXPECT_THAT(targets_at_next_start(now, next), ElementsAre("vdc", "vdd"));
  EXPECT_THAT(targets_at_next_start(now, now), IsEmpty());
}

TEST(DiskChoice, WhatNobodyWouldMissOfTheNextStartIsNotTold) {
  DiskModel medium = disk("sda");
  medium.device = "cdrom";
  DiskModel read_only = disk("vdb");
  read_only.readonly = true;
  const DomainModel now = with({disk("vda")});
  const DomainModel next = with({disk("vda"), medium, read_only, disk("vdc", SourceKind::none), disk("vdd")});
  EXPECT_THAT(targets_at_next_start(now, next), ElementsAre("vdd"));
  BackupOptions asked;
  asked.include_disks = {"vda"};
  EXPECT_THAT(targets_at_next_start(now, next, asked), IsEmpty()) << "it was not asked for";
}

TEST(ExplainDisk, ADiskOfTheNextStartAloneIsSkippedWithTheReason) {
  const ExplainedDisk told = explain_absent_disk(disk("vdc"));
  EXPECT_EQ(told.target, "vdc");
  EXPECT_EQ(told.bus, "virtio");
  EXPECT_EQ(told.source, "/images/vdc.qcow2");
  EXPECT_EQ(told.verdict.verdict, hypervisor::Verdict::skip);
  EXPECT_EQ(told.verdict.reason, "it is only in the definition for the next start");
  EXPECT_THAT(told.chain, IsEmpty());
}

}  // namespace
}  // namespace icecore::job
