// SPDX-License-Identifier: Apache-2.0
#include "job/space_watch.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "base/id.hpp"

namespace icecore::job {
namespace {

constexpr base::Milliseconds k_hour = std::chrono::hours(1);
constexpr double k_more_than_all = 1.5;  // of a file system is never free
constexpr std::uint64_t k_mib = 1024 * 1024;

base::Fault fault_of(SpaceWatch watch) {
  try {
    watch.check();
  } catch (const base::Error& error) {
    return error.fault();
  }
  ADD_FAILURE() << "it found nothing";
  return base::Fault::internal;
}

// A small disk is read before half a second is over.
TEST(SpaceWatch, LooksWhenFirstAsked) {
  EXPECT_EQ(fault_of(SpaceWatch({{"/tmp/overlay"}}, k_more_than_all, k_hour)), base::Fault::no_space);
  EXPECT_EQ(fault_of(SpaceWatch({{"/tmp/overlay"}}, 0, base::Milliseconds(-1))), base::Fault::unavailable);
}

TEST(SpaceWatch, FindsNothingWhereThereIsRoomAndTime) {
  SpaceWatch watch({{"/tmp/overlay"}}, 0, k_hour);
  EXPECT_NO_THROW(watch.check());
}

class GrowthOfBase : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directory(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path file(const std::string& name, std::size_t bytes) const {
    std::ofstream(folder_ / name) << std::string(bytes, 'x');
    return folder_ / name;
  }

  std::filesystem::path folder_ = std::filesystem::temp_directory_path() / ("icecore-space-test-" + base::random_id(8));
};

TEST_F(GrowthOfBase, IsWhatTheOverlayHoldsAndNoMoreThanTheBaseDoesNotHoldYet) {
  const auto overlay = file("overlay", 4 * k_mib);
  const auto base = file("base", k_mib);
  EXPECT_NEAR(static_cast<double>(growth_of_base({overlay, base, 64 * k_mib})), 4 * k_mib, k_mib / 4);
  EXPECT_NEAR(static_cast<double>(growth_of_base({overlay, base, 2 * k_mib})), k_mib, k_mib / 4);
  EXPECT_EQ(growth_of_base({overlay, base, k_mib}), 0U) << "it is whole";
  EXPECT_EQ(growth_of_base({overlay, "", 64 * k_mib}), 0U);
  EXPECT_EQ(growth_of_base({folder_ / "none", base, 64 * k_mib}), 0U);
  EXPECT_EQ(growth_of_base({overlay, "/dev/null", 64 * k_mib}), 0U);
}

TEST_F(GrowthOfBase, HasToFitBesideTheShare) {
  const std::uint64_t more_than_there_is = std::filesystem::space(folder_).capacity;
  const auto overlay = file("overlay", 4 * k_mib);
  const auto base = file("base", 0);
  const WatchedFile watched{overlay, base, more_than_there_is};
  EXPECT_NO_THROW(require_room_to_merge("web1", "vda", watched, 0));
  EXPECT_THROW(require_room_to_merge("web1", "vda", watched, 1), base::Error);
  EXPECT_NO_THROW(require_room_to_merge("web1", "vda", {overlay, base, 0}, 1)) << "nothing to grow";
}

}  // namespace
}  // namespace icecore::job
