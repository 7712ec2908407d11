// SPDX-License-Identifier: Apache-2.0
#include "maintenance/stats.hpp"

#include "unit/maintenance/fixture.hpp"

namespace icecore::maintenance {
namespace {

class StatsTest : public MaintenanceFixture {};

TEST_F(StatsTest, WhatDomainsShareCountsOnceInTotal) {
  backup("a", range(1, 33));
  backup("a", range(1, 33));
  backup("b", range(17, 49));
  const RepositoryStats stats = collect_stats(*repository_, {});
  ASSERT_EQ(stats.domains.size(), 2U);
  const DomainStats& a = stats.domains[0];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.amounts.points, 2U);
  EXPECT_EQ(a.amounts.logical_bytes, 2U * 32 * k_block);
  EXPECT_GE(a.amounts.unique_bytes, 32U * k_block);
  EXPECT_LT(a.amounts.unique_bytes, 33U * k_block) << "32 blocks and the nodes of one tree";
  EXPECT_NEAR(a.amounts.dedup_ratio(), 2, 0.1);
  EXPECT_GT(a.amounts.compression_ratio(), 1.3) << "every second block compresses";
  EXPECT_EQ(stats.total.points, 3U);
  EXPECT_LT(stats.total.unique_bytes, 50U * k_block);
  EXPECT_LT(stats.total.stored_bytes, a.amounts.stored_bytes + stats.domains[1].amounts.stored_bytes);
  EXPECT_LT(a.own_bytes, a.amounts.stored_bytes);
  EXPECT_EQ(count("locks"), 0U);
}

TEST_F(StatsTest, AnEmptyRepositoryHasNothing) {
  const RepositoryStats stats = collect_stats(*repository_, {});
  EXPECT_TRUE(stats.domains.empty());
  EXPECT_EQ(stats.total.dedup_ratio(), 1.0);
}

}  // namespace
}  // namespace icecore::maintenance
