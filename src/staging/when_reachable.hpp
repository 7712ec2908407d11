// SPDX-License-Identifier: Apache-2.0
// What staging goes on without: a remote that does not answer, tells nothing, or does not do what it is asked.
#pragma once

#include <optional>

#include "base/error.hpp"
#include "storage/storage.hpp"

namespace icecore::staging {

// Runs action() and swallows that the remote does not answer, or is not waited for after a stop; false then.
template <typename Action>
bool when_reachable(Action&& action) {
  try {
    action();
    return true;
  } catch (const base::Error& error) {
    if (error.fault() != base::Fault::unavailable && error.fault() != base::Fault::cancelled) throw;
    return false;
  }
}

// Runs action() and returns what keeps the remote from telling: the same, or that it no longer lets us.
template <typename Action>
std::optional<base::Error> silence_at(Action&& action) {
  try {
    action();
    return std::nullopt;
  } catch (const base::Error& error) {
    if (error.fault() != base::Fault::unavailable && error.fault() != base::Fault::cancelled &&
        error.fault() != base::Fault::denied)
      throw;
    return error;
  }
}

// Runs action() and swallows that the remote does not answer, is full or does not permit it; false then.
template <typename Action>
bool when_helpful(Action&& action) {
  try {
    action();
    return true;
  } catch (const base::Error& error) {
    if (storage::remedy_of(error.fault()) == storage::Remedy::none) throw;
    return false;
  }
}

}  // namespace icecore::staging
