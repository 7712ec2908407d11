// SPDX-License-Identifier: Apache-2.0
#include "job/restore_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "job/restore_finish.hpp"
#include "job/restore_paths.hpp"

namespace icecore::job {
namespace {

using testing::HasSubstr;

repository::Manifest point() {
  repository::Manifest manifest;
  manifest.id = "0123456789abcdef0123456789abcdef";
  manifest.domain_name = "web1";
  manifest.disks.resize(2);
  manifest.disks[0] = {.target = "vda", .source_path = "/srv/vm/web1.qcow2", .format = "qcow2"};
  manifest.disks[1] = {.target = "vdb", .source_path = "/srv/vm/data.img", .format = "raw"};
  return manifest;
}

PlannedFile planned(const RestoreOptions& options, std::size_t disk, std::optional<std::filesystem::path> folder = {}) {
  const repository::Manifest manifest = point();
  return plan_file(manifest, manifest.disks[disk], options, folder, "aabbccddeeff");
}

TEST(RestorePaths, DisksGoBackWhereTheyWere) {
  const PlannedFile file = planned({}, 0);
  EXPECT_EQ(file.path, "/srv/vm/web1.qcow2");
  EXPECT_EQ(file.work_path, "/srv/vm/web1.qcow2.icecore-aabbccdd");
  EXPECT_FALSE(file.replaces);
  EXPECT_FALSE(file.device);
}

TEST(RestorePaths, AFolderAndANewNameMakeNewNames) {
  EXPECT_EQ(planned({.new_name = "web2"}, 1).path, "/srv/vm/web2.vdb.raw");
  EXPECT_EQ(planned({.new_name = "web2"}, 1, "/new").path, "/new/web2.vdb.raw");
  EXPECT_EQ(planned({.disks_only = true}, 0, "/new").path, "/new/vda.qcow2");
}

TEST(RestorePaths, AnotherFormatHasItsOwnSuffix) {
  RestoreOptions options;
  options.disk_formats["vdb"] = "qcow2";
  EXPECT_EQ(planned(options, 1, "/new").path, "/new/web1.vdb.qcow2");
  EXPECT_EQ(planned(options, 1, "/new").format, "qcow2");
}

TEST(RestorePaths, APathOfItsOwnReplacesNothing) {
  RestoreOptions options{.replace = true};
  options.disk_paths["vda"] = "/elsewhere/a.img";
  EXPECT_EQ(planned(options, 0).path, "/elsewhere/a.img");
  EXPECT_FALSE(planned(options, 0).replaces);
  EXPECT_TRUE(planned(options, 1).replaces);
}

TEST(RestorePaths, ADiskWithoutAPlaceIsAnError) {
  RestoreOptions options{.disks_only = true};
  options.disk_paths["vda"] = "/elsewhere/a.img";
  EXPECT_THROW(planned(options, 1), base::Error);
}

TEST(RestorePaths, PathsAndFormatsAreOfDisksThatAreRestored) {
  const repository::Manifest manifest = point();
  EXPECT_EQ(choose_disks(manifest, {}).size(), 2U);
  EXPECT_EQ(choose_disks(manifest, {.disks = {"vdb"}}).at(0)->target, "vdb");
  EXPECT_THROW(choose_disks(manifest, {.disks = {"vdz"}}), base::Error);
  RestoreOptions options{.disks = {"vdb"}};
  options.disk_paths["vda"] = "/x";
  EXPECT_THROW(choose_disks(manifest, options), base::Error);
}

RestorePlan plan_with_a_device() {
  RestorePlan plan;
  plan.connect_uri = "qemu:///session";
  plan.point_id = "0123";
  plan.pools = {"images"};
  plan.files.push_back(
      {.target = "vda", .format = "raw", .path = "/dev/x", .work_path = "/dev/x", .device = true, .begun = true});
  return plan;
}

TEST(RestorePlan, SurvivesTheJournal) {
  const RestorePlan read = parse_restore_plan(to_json(plan_with_a_device()), "job");
  EXPECT_EQ(read.connect_uri, "qemu:///session");
  EXPECT_EQ(read.pools, std::set<std::string>{"images"});
  ASSERT_EQ(read.files.size(), 1U);
  EXPECT_TRUE(read.files[0].device);
  EXPECT_TRUE(read.files[0].begun);
  EXPECT_FALSE(read.files[0].replaces);
}

TEST(RestorePlan, OfAnOlderVersionIsUnderstood) {
  base::Json json = to_json(plan_with_a_device());
  json["replace"] = true;
  json.erase("pools");
  json["pool"] = "old";
  for (const char* field : {"replaces", "device", "begun"}) json["files"][0].erase(field);
  const RestorePlan read = parse_restore_plan(json, "job");
  EXPECT_EQ(read.pools, std::set<std::string>{"old"});
  EXPECT_TRUE(read.files[0].replaces);
  EXPECT_FALSE(read.files[0].device);
}

TEST(RestorePlan, ADeviceIsNeverRemovedAndHasNoWayBack) {
  const std::filesystem::path node = std::filesystem::path(testing::TempDir()) / "icecore-restore-plan-node";
  std::filesystem::create_directory(node);  // stands for the device
  RestorePlan plan = plan_with_a_device();
  plan.files[0].path = plan.files[0].work_path = node;
  remove_files(plan, true);
  EXPECT_TRUE(std::filesystem::exists(node));
  EXPECT_TRUE(any_named(plan));
  EXPECT_THAT(tell_device(plan.files[0]), HasSubstr("neither"));
  note_written(plan);
  EXPECT_THAT(tell_device(parse_restore_plan(to_json(plan), "job").files[0]), HasSubstr("was given disk 'vda'"));
  std::filesystem::remove(node);
}

// As a death leaves it where a file gets its name by a link.
TEST(RestorePlan, AFileWithBothItsNamesIsNamed) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "icecore-restore-plan-names";
  std::filesystem::create_directory(folder);
  RestorePlan plan;
  plan.files.push_back({.target = "vda", .path = folder / "vda.raw", .work_path = folder / "vda.raw.work"});
  std::ofstream(plan.files[0].work_path) << "x";
  EXPECT_FALSE(any_named(plan));
  std::filesystem::create_hard_link(plan.files[0].work_path, plan.files[0].path);
  EXPECT_TRUE(any_named(plan));
  remove_files(plan, true);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace icecore::job
