// SPDX-License-Identifier: Apache-2.0
#include "job/backup_manifest.hpp"

#include <gtest/gtest.h>

namespace icecore::job {
namespace {

using repository::Consistency;

Consistency consistency_of(const hypervisor::ThawReport& thaw) {
  InstantFacts facts;
  facts.freeze = hypervisor::FreezeReport{.state = hypervisor::FreezeState::frozen, .reason = {}, .file_systems = 2};
  facts.thaw = thaw;
  return job::consistency_of(PreparedBackup{}, facts);
}

TEST(ConsistencyOf, AFreezeThatHeldIsWhatTheAgentConfirms) {
  EXPECT_EQ(consistency_of({.thawed = true, .reason = {}}), Consistency::filesystem);
  EXPECT_EQ(consistency_of({.thawed = true, .early = true, .reason = {}}), Consistency::crash);
}

// The watchdog may have thawed it long before; nobody has told.
TEST(ConsistencyOf, AThawThatNobodyConfirmedIsNoFreezeThatHeld) {
  EXPECT_EQ(consistency_of({.thawed = false, .reason = "the agent is silent"}), Consistency::crash);
}

}  // namespace
}  // namespace icecore::job
