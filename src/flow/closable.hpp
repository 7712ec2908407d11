// SPDX-License-Identifier: Apache-2.0
// What a StageGroup must be able to wake when a stage fails: anything a stage can be asleep in.
#pragma once

namespace icecore::flow {

class Closable {
 public:
  virtual ~Closable() = default;
  // Wakes every sleeper and makes further calls return at once. Idempotent; any thread.
  virtual void abandon() noexcept = 0;
};

}  // namespace icecore::flow
