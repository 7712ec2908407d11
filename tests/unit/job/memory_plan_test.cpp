// SPDX-License-Identifier: Apache-2.0
// In which states the memory of a domain is refused, and with which way out.
#include "job/memory_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace icecore::job {
namespace {

using hypervisor::DomainState;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(MemoryPlan, ARunningDomainHasItsMemorySaved) { EXPECT_FALSE(refuse_memory_of("web1", DomainState::running)); }

TEST(MemoryPlan, APausedDomainIsToBeResumed) {
  const auto refused = refuse_memory_of("web1", DomainState::paused);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->fault(), base::Fault::conflict);
  EXPECT_EQ(refused->hint(), "virsh resume web1");
}

// To leave the memory out is no way out: libvirt takes no snapshot of its disks either.
TEST(MemoryPlan, ASuspendedDomainHasItsMemoryAndIsToBeWoken) {
  const auto refused = refuse_memory_of("web1", DomainState::pm_suspended);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->fault(), base::Fault::conflict);
  EXPECT_THAT(refused->what(), AllOf(HasSubstr("QEMU keeps its memory"), Not(HasSubstr("no memory"))));
  EXPECT_EQ(refused->hint(), "virsh dompmwakeup web1");
}

TEST(MemoryPlan, ADomainThatIsOffHasNone) {
  const auto refused = refuse_memory_of("web1", DomainState::shut_off);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->fault(), base::Fault::usage);
  EXPECT_THAT(refused->what(), HasSubstr("is shut off: it has no memory"));
  EXPECT_THAT(refused->hint(), HasSubstr("--full-state=try"));
}

}  // namespace
}  // namespace icecore::job
