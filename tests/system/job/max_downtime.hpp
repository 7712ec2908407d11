// SPDX-License-Identifier: Apache-2.0
// A guest's downtime limit as its owner would find it: a backup must leave it as it was.
#pragma once

#include <gtest/gtest.h>

#include "rig/test_domain.hpp"

namespace icecore::system_test {

// Of a domain that runs, in ms.
inline unsigned long long max_downtime_of(const rig::TestDomain& domain) {
  unsigned long long ms = 0;
  EXPECT_EQ(virDomainMigrateGetMaxDowntime(domain.handle(), &ms, 0), 0);
  return ms;
}

}  // namespace icecore::system_test
