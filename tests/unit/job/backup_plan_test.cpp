// SPDX-License-Identifier: Apache-2.0
#include "job/backup_plan.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace icecore::job {
namespace {

const std::string k_uuid = "6f9c1f2e-0000-4000-8000-00000000be0c";

BackupPlan sample() {
  BackupPlan plan;
  plan.connect_uri = "qemu:///session";
  plan.repository_url = "/backup";
  plan.repository_id = "0123";
  plan.freezes = true;
  plan.manifest = "{}";
  plan.disks.push_back({"vda", "qcow2", "/images/web1.qcow2", "/images/x.ovl.qcow2", {}});
  plan.disks.back().encryption = "<encryption/>";
  plan.disks.back().merge = MergeState::left;
  plan.disks.back().frozen_ns = 1'700'000'000'000'000'001;
  plan.disks.push_back({.target = "vdb",
                        .format = "qcow2",
                        .base_path = "/images/one.layer.qcow2",
                        .overlay_path = "/images/two.layer.qcow2",
                        .chain = {},
                        .keeps_overlay = true,
                        .home = {.path = "/dev/vg0/b", .format = "raw", .definition = "<disk/>", .frozen_ns = 17}});
  plan.memory_file = "/images/x.save";
  plan.max_downtime = base::Milliseconds(300);
  plan.published = true;
  plan.saved_before = true;
  return plan;
}

TEST(BackupPlan, JournalAndBack) {
  const BackupPlan plan = sample();
  const BackupPlan read = parse_backup_plan(to_json(plan), "j");
  EXPECT_EQ(to_json(read), to_json(plan));
  EXPECT_EQ(read.connect_uri, "qemu:///session");
  EXPECT_EQ(read.disks.at(0).overlay_path, plan.disks[0].overlay_path);
  EXPECT_EQ(read.disks.at(0).encryption, "<encryption/>");
  EXPECT_EQ(read.disks[0].merge, MergeState::left);
  EXPECT_EQ(read.disks[0].frozen_ns, 1'700'000'000'000'000'001);
  EXPECT_EQ(read.disks[1].merge, MergeState::unbegun);
  EXPECT_FALSE(read.disks[0].keeps_overlay);
  EXPECT_TRUE(read.disks[0].home.path.empty());
  EXPECT_TRUE(read.disks.at(1).keeps_overlay);
  EXPECT_EQ(read.disks[1].home.path, "/dev/vg0/b");
  EXPECT_EQ(read.disks[1].home.format + read.disks[1].home.definition, "raw<disk/>");
  EXPECT_EQ(read.disks[1].home.frozen_ns, 17);
  EXPECT_EQ(read.memory_file, "/images/x.save");
  EXPECT_EQ(read.max_downtime, base::Milliseconds(300));
  EXPECT_TRUE(read.published);
  EXPECT_TRUE(read.saved_before);
}

TEST(BackupPlan, EveryMissingFieldIsNamed) {
  const base::Json whole = to_json(sample());
  for (const auto& [key, value] : whole.items()) {
    // jobs of before have none
    if (key == "connect_uri" || key == "staging" || key == "memory_file" || key == "max_downtime_ms" ||
        key == "snapshotted" || key == "published" || key == "saved_before")
      continue;
    base::Json damaged = whole;
    damaged.erase(key);
    try {
      parse_backup_plan(damaged, "4711");
      FAIL() << key;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), base::Fault::corrupt);
      EXPECT_NE(std::string(error.what()).find("job 4711"), std::string::npos);
    }
  }
}

TEST(BackupPlan, AnOlderOneToldTheStateOfAllMergesAtOnce) {
  const auto read_as = [](const base::Json& told) {
    base::Json json = to_json(sample());
    for (base::Json& disk : json["disks"]) disk.erase("merge");
    json.update(told);
    const BackupPlan plan = parse_backup_plan(json, "j");
    EXPECT_EQ(plan.disks.at(0).merge, plan.disks.at(1).merge);
    return plan.disks[0].merge;
  };
  EXPECT_EQ(read_as({{"commit_begun", true}}), MergeState::ending);
  EXPECT_EQ(read_as({{"commit_begun", false}}), MergeState::unbegun);
  EXPECT_EQ(read_as({{"pivot_begun", true}}), MergeState::ending);
  EXPECT_EQ(read_as({{"pivot_begun", true}, {"on_bases", true}}), MergeState::done);
  EXPECT_EQ(read_as(base::Json::object()), MergeState::unbegun);
}

TEST(BackupPlan, AStateOfAMergeThatNobodyKnowsIsDamage) {
  base::Json json = to_json(sample());
  json["disks"][0]["merge"] = "finished";
  EXPECT_THROW(parse_backup_plan(json, "j"), base::Error);
}

TEST(OverlayName, OnlyOurNamesForThisDomainAreOurs) {
  const std::string name = overlay_name(k_uuid, "vda", "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(name, k_uuid + ".vda.01234567.ovl.qcow2");
  EXPECT_TRUE(is_our_overlay("/images/" + name, k_uuid));
  EXPECT_FALSE(is_our_overlay("/images/" + name, "6f9c1f2e-0000-4000-8000-00000000be0d"));
  EXPECT_FALSE(is_our_overlay("/images/web1.qcow2", k_uuid));
  EXPECT_FALSE(is_our_overlay("/images/" + k_uuid + ".vda.0123.ovl.qcow2", k_uuid));
  EXPECT_FALSE(is_our_overlay("/images/" + name + ".bak", k_uuid));
}

TEST(OverlayName, IsOursWhateverTheTarget) {
  for (const char* target : {"vda", "vda1", "sdaa", "fda", "ubda", "xvda_A2"}) {
    const std::string name = overlay_name(k_uuid, target, "0123456789abcdef0123456789abcdef");
    EXPECT_TRUE(is_our_overlay("/images/" + name, k_uuid)) << name;
    EXPECT_FALSE(is_our_overlay("/images/" + name, "6f9c1f2e-0000-4000-8000-00000000be0d")) << name;
  }
}

}  // namespace
}  // namespace icecore::job
