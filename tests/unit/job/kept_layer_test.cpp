// SPDX-License-Identifier: Apache-2.0
#include "job/kept_layer.hpp"

#include <gtest/gtest.h>

#include "base/id.hpp"

namespace icecore::job {
namespace {

const std::string k_uuid = "6f9c1f2e-0000-4000-8000-00000000be0c";
const std::string k_run = "0123456789abcdef0123456789abcdef";

std::filesystem::path layer(const std::string& run) { return "/images/" + layer_name(k_uuid, "vda", run); }

TEST(LayerName, IsOursAndNoLeftover) {
  const std::filesystem::path path = layer(k_run);
  EXPECT_EQ(path.filename(), k_uuid + ".vda.01234567.layer.qcow2");
  EXPECT_TRUE(is_kept_layer(path, k_uuid));
  EXPECT_FALSE(is_our_overlay(path, k_uuid));
  EXPECT_EQ(run_of_layer(path), "01234567");
  EXPECT_FALSE(is_kept_layer(path, "6f9c1f2e-0000-4000-8000-00000000be0d"));
  EXPECT_EQ(domain_of_layer(path), k_uuid);
  EXPECT_EQ(domain_of_layer("/images/web1.qcow2"), "");
  EXPECT_FALSE(is_kept_layer("/images/web1.qcow2", k_uuid));
  EXPECT_FALSE(is_kept_layer(path.string() + ".bak", k_uuid));
  EXPECT_FALSE(is_kept_layer("/images/" + overlay_name(k_uuid, "vda", k_run), k_uuid));
}

TEST(LayerName, IsOursWhateverTheTarget) {
  for (const char* target : {"vda", "vda1", "sdaa", "fda", "ubda", "xvda_A2"}) {
    const std::filesystem::path path = "/images/" + layer_name(k_uuid, target, k_run);
    EXPECT_TRUE(is_kept_layer(path, k_uuid)) << path;
    EXPECT_FALSE(is_our_overlay(path, k_uuid)) << path;
    EXPECT_FALSE(is_kept_layer("/images/" + overlay_name(k_uuid, target, k_run), k_uuid)) << path;
    EXPECT_EQ(domain_of_layer(path), k_uuid);
    EXPECT_EQ(run_of_layer(path), "01234567");
  }
}

std::vector<disk::ImageInfo> chain_of(const std::vector<std::filesystem::path>& paths) {
  std::vector<disk::ImageInfo> chain;
  for (const auto& path : paths) {
    disk::ImageInfo image;
    image.path = path;
    chain.push_back(image);
  }
  return chain;
}

TEST(KeptLayer, OnlyTheTopOfAChainCounts) {
  EXPECT_EQ(count_kept_layers(chain_of({layer("1"), "/a", "/b"}), k_uuid), 0U);  // not a whole name
  EXPECT_EQ(count_kept_layers(chain_of({layer(k_run), "/a"}), k_uuid), 1U);
  EXPECT_EQ(count_kept_layers(chain_of({layer("89abcdef"), layer(k_run), "/a"}), k_uuid), 2U);
  EXPECT_EQ(count_kept_layers(chain_of({"/a", layer(k_run), "/b"}), k_uuid), 0U);
}

TEST(KeptLayer, WhyADiskIsGivenNone) {
  hypervisor::DiskModel disk;
  auto chain = chain_of({layer(k_run), "/a"});
  EXPECT_EQ(no_layer_reason(disk, chain, k_uuid, false), "");
  EXPECT_NE(no_layer_reason(disk, chain, k_uuid, true).find("transient"), std::string::npos);
  EXPECT_NE(no_layer_reason(disk, chain_of({"/s", layer(k_run), "/a"}), k_uuid, false).find("over the layer"),
            std::string::npos);
  chain[0].internal_snapshots = {"one"};
  EXPECT_NE(no_layer_reason(disk, chain, k_uuid, false).find("internal snapshots"), std::string::npos);
  chain = chain_of({"/a"});
  chain[0].encrypted = true;
  EXPECT_NE(no_layer_reason(disk, chain, k_uuid, false).find("encrypted"), std::string::npos);
}

class HomeDefinition : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void add_job(const PlannedDisk& disk, const std::string& run) {
    BackupPlan plan;
    plan.disks.push_back(disk);
    JobRecord job;
    job.id = run + base::random_id(12);
    job.domain_uuid = k_uuid;
    job.domain_name = "web1";
    job.plan = to_json(plan);
    job.created = base::now();
    journal_.begin(job);
  }

  std::filesystem::path folder_ = std::filesystem::temp_directory_path() / ("icecore-test-" + base::random_id(6));
  Journal journal_{folder_};
};

TEST_F(HomeDefinition, IsHandedOnFromRunToRun) {
  const auto one = layer("11111111");
  const auto two = layer("22222222");
  EXPECT_EQ(definition_of_home(journal_, k_uuid, one, "/images/a"), "");
  add_job({.target = "vda",
           .format = "raw",
           .base_path = "/images/a",
           .overlay_path = one,
           .chain = {},
           .definition = "<disk/>",
           .keeps_overlay = true},
          "11111111");
  EXPECT_EQ(definition_of_home(journal_, k_uuid, one, "/images/a"), "<disk/>");
  PlannedDisk next{.target = "vda",
                   .format = "qcow2",
                   .base_path = one,
                   .overlay_path = two,
                   .chain = {},
                   .definition = "<disk layer='one'/>",
                   .keeps_overlay = true,
                   .home = {.path = "/images/a", .format = "raw", .definition = {}}};
  name_home(next, journal_, k_uuid);
  EXPECT_EQ(next.home.definition, "<disk/>");
  add_job(next, "22222222");
  EXPECT_EQ(definition_of_home(journal_, k_uuid, two, "/images/a"), "<disk/>");
  EXPECT_EQ(definition_of_home(journal_, k_uuid, two, "/images/other"), "") << "it is at home elsewhere now";
  EXPECT_EQ(definition_of_home(journal_, "another", two, "/images/a"), "");
}

}  // namespace
}  // namespace icecore::job
