// SPDX-License-Identifier: Apache-2.0
// Against libvirt's built-in test driver, which has a storage pool "default-pool" of type dir.
#include "hypervisor/volume.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace icecore::hypervisor {
namespace {

using testing::HasSubstr;

DomainModel with_volume(const std::string& pool) {
  DomainModel model;
  DiskModel disk;
  disk.target = "vda";
  disk.source.kind = SourceKind::volume;
  disk.source.pool = pool;
  disk.source.volume = "web1.qcow2";
  disk.backing.push_back(disk.source);
  disk.mirror = MirrorModel{.job = "active-commit", .ready = false, .image = disk.source};
  model.disks.push_back(disk);
  return model;
}

TEST(Volume, EveryImageOfTheChainGetsItsPath) {
  Connection connection("test:///default");
  DomainModel model = with_volume("default-pool");
  resolve_volumes(connection, model);
  const DiskModel& disk = model.disks.front();
  EXPECT_EQ(disk.source.path, "/default-pool/web1.qcow2");
  EXPECT_EQ(disk.source.unresolved, "");
  EXPECT_EQ(disk.backing.front().path, disk.source.path);
  EXPECT_EQ(disk.mirror->image.path, disk.source.path);
}

TEST(Volume, AnUnknownPoolIsAReasonAndNoFailure) {
  Connection connection("test:///default");
  DomainModel model = with_volume("gone");
  resolve_volumes(connection, model);
  EXPECT_EQ(model.disks.front().source.path, "");
  EXPECT_THAT(model.disks.front().source.unresolved, HasSubstr("no storage pool 'gone'"));
}

}  // namespace
}  // namespace icecore::hypervisor
