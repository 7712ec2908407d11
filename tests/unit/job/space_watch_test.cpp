// SPDX-License-Identifier: Apache-2.0
#include "job/space_watch.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace icecore::job {
namespace {

constexpr base::Milliseconds k_hour = std::chrono::hours(1);
constexpr double k_more_than_all = 1.5;  // of a file system is never free

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
  EXPECT_EQ(fault_of(SpaceWatch("/tmp/overlay", k_more_than_all, k_hour)), base::Fault::no_space);
  EXPECT_EQ(fault_of(SpaceWatch("/tmp/overlay", 0, base::Milliseconds(-1))), base::Fault::unavailable);
}

TEST(SpaceWatch, FindsNothingWhereThereIsRoomAndTime) {
  SpaceWatch watch("/tmp/overlay", 0, k_hour);
  EXPECT_NO_THROW(watch.check());
}

}  // namespace
}  // namespace icecore::job
