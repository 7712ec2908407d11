// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/snapshot.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace icecore::hypervisor {
namespace {

using testing::HasSubstr;

TEST(Snapshot, OfASuspendedDomainThereIsNoneUntilItIsWoken) {
  const auto refused = refuse_suspended("web 1", DomainState::pm_suspended);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->fault(), base::Fault::conflict);
  EXPECT_THAT(refused->what(), HasSubstr("'web 1' is suspended"));
  EXPECT_EQ(refused->hint(), "virsh dompmwakeup 'web 1'");
  for (const DomainState state : {DomainState::shut_off, DomainState::running, DomainState::paused,
                                  DomainState::shutting_down, DomainState::crashed, DomainState::gone})
    EXPECT_FALSE(refuse_suspended("web1", state)) << to_string(state);
}

}  // namespace
}  // namespace icecore::hypervisor
