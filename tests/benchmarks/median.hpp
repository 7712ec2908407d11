// SPDX-License-Identifier: Apache-2.0
// What benchmarks print of several rounds.
#pragma once

#include <algorithm>
#include <vector>

namespace icecore {

// The upper one of two in the middle. Throws when there are none.
inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.at(values.size() / 2);
}

}  // namespace icecore
