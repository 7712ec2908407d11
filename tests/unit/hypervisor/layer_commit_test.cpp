// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/layer_commit.hpp"

#include <gtest/gtest.h>

#include "unit/hypervisor/fixture_xml.hpp"

namespace icecore::hypervisor {
namespace {

const LayerDisk k_vda{"vda", "/srv/vm/0b9b.vda.r1.ovl.qcow2", "/srv/vm/db-1.qcow2", "/srv/vm/template.qcow2"};

TEST(LayerCommit, PlacesComeFromTheXml) {
  DomainModel model = parse_domain(fixture_xml("running"));
  EXPECT_EQ(layer_place_of(model, k_vda), LayerPlace::elsewhere);  // a job on the active image
  model.disks[0].mirror.reset();
  EXPECT_EQ(layer_place_of(model, k_vda), LayerPlace::on_layer);
  model.disks[0].backing.erase(model.disks[0].backing.begin());
  EXPECT_EQ(layer_place_of(model, k_vda), LayerPlace::merged);
  model.disks[0].backing.clear();
  EXPECT_EQ(layer_place_of(model, k_vda), LayerPlace::elsewhere);
}

TEST(LayerCommit, AnythingUnexpectedIsElsewhere) {
  DomainModel model = parse_domain(fixture_xml("running"));
  model.disks[0].mirror.reset();
  const auto with = [](LayerDisk disk, std::string LayerDisk::*part, const std::string& text) {
    disk.*part = text;
    return disk;
  };
  EXPECT_EQ(layer_place_of(model, with(k_vda, &LayerDisk::target, "vdq")), LayerPlace::elsewhere);
  EXPECT_EQ(layer_place_of(model, with(k_vda, &LayerDisk::active_path, "/a")), LayerPlace::elsewhere);
  EXPECT_EQ(layer_place_of(model, with(k_vda, &LayerDisk::layer_path, "/a")), LayerPlace::elsewhere);
  EXPECT_EQ(layer_place_of(model, with(k_vda, &LayerDisk::base_path, "/a")), LayerPlace::elsewhere);
}

}  // namespace
}  // namespace icecore::hypervisor
