// SPDX-License-Identifier: Apache-2.0
#include "cli/exit_code.hpp"

#include <gtest/gtest.h>

#include <set>

namespace icecore::cli {
namespace {

using base::Fault;

constexpr std::array k_faults = {Fault::usage,  Fault::not_found, Fault::busy,     Fault::unavailable, Fault::no_space,
                                 Fault::denied, Fault::corrupt,   Fault::conflict, Fault::cancelled,   Fault::internal};

TEST(ExitCode, TableIsSortedAndWithoutDoubles) {
  int last = -1;
  for (const ExitCodeMeaning& row : exit_codes()) {
    EXPECT_GT(static_cast<int>(row.code), last);
    EXPECT_FALSE(row.meaning.empty());
    last = static_cast<int>(row.code);
  }
}

TEST(ExitCode, EveryFaultHasItsOwnCodeFromTheTable) {
  std::set<ExitCode> documented;
  for (const ExitCodeMeaning& row : exit_codes()) documented.insert(row.code);
  std::set<ExitCode> used;
  for (const Fault fault : k_faults) {
    const ExitCode code = exit_code_of(fault);
    EXPECT_NE(code, ExitCode::ok);
    EXPECT_TRUE(documented.contains(code));
    EXPECT_TRUE(used.insert(code).second) << base::to_string(fault);
  }
}

}  // namespace
}  // namespace icecore::cli
