// SPDX-License-Identifier: Apache-2.0
#include "job/merge_rounds.hpp"

#include <gtest/gtest.h>

namespace icecore::job {
namespace {

using base::Fault;

class MergeRoundsTest : public testing::Test {
 protected:
  static base::Error error_of(const std::function<void()>& action) {
    try {
      action();
    } catch (const base::Error& error) {
      return error;
    }
    return base::Error(Fault::internal, "nothing was thrown");
  }

  hypervisor::Connection connection_{"test:///default"};
  std::stop_source stop_;
  MergeRounds rounds_{connection_, stop_.get_token()};
};

TEST_F(MergeRoundsTest, GoOnUntilOneIsTheLast) {
  int rounds = 0;
  rounds_.run("overlays", [&] { return ++rounds == 3; });
  EXPECT_EQ(rounds, 3);
}

TEST_F(MergeRoundsTest, ADomainThatNeverRestsIsToldOf) {
  const base::Error error = error_of([&] { rounds_.run("layers", [] { return false; }); });
  EXPECT_EQ(error.fault(), Fault::conflict);
  EXPECT_STREQ(error.what(), "the domain keeps starting and stopping while its layers are merged");
}

// Another host's QEMU, qemu-nbd or guestmount: who has the file is told, and not that the domain is restless.
TEST_F(MergeRoundsTest, AFileThatStaysInUseIsToldOf) {
  stop_.request_stop();  // no waiting between the rounds
  const auto merge = [] { base::fail(Fault::busy, "'a.qcow2' is in use by process 17"); };
  const base::Error error =
      error_of([&] { rounds_.run("overlays", [&] { return rounds_.merge_unless_in_use(merge); }); });
  EXPECT_EQ(error.fault(), Fault::busy);
  EXPECT_STREQ(error.what(), "'a.qcow2' is in use by process 17");
}

TEST_F(MergeRoundsTest, WhatElseGoesWrongIsThrownAtOnce) {
  const auto merge = [] { base::fail(Fault::no_space, "the disk is full"); };
  EXPECT_EQ(error_of([&] { rounds_.merge_unless_in_use(merge); }).fault(), Fault::no_space);
}

}  // namespace
}  // namespace icecore::job
