// SPDX-License-Identifier: Apache-2.0
// What staging goes on without: a remote that does not answer, tells nothing, or does not do what it is asked.
#pragma once

#include <optional>

#include "base/error.hpp"
#include "storage/storage.hpp"

namespace icecore::staging {

// Runs action() and returns its error when forgives(fault); others it throws.
template <typename Action>
std::optional<base::Error> forgiven(bool (*forgives)(base::Fault), Action&& action) {
  try {
    action();
    return std::nullopt;
  } catch (const base::Error& error) {
    if (!forgives(error.fault())) throw;
    return error;
  }
}

// The remote does not answer, or is not waited for after a stop.
inline bool is_away(base::Fault fault) { return fault == base::Fault::unavailable || fault == base::Fault::cancelled; }

// False: it is away.
template <typename Action>
bool when_reachable(Action&& action) {
  return !forgiven(is_away, action);
}

// What keeps it from telling: that it is away, or no longer lets us.
template <typename Action>
std::optional<base::Error> silence_at(Action&& action) {
  return forgiven([](base::Fault fault) { return is_away(fault) || fault == base::Fault::denied; }, action);
}

// False: it is away, is full or does not permit it.
template <typename Action>
bool when_helpful(Action&& action) {
  return !forgiven([](base::Fault fault) { return storage::remedy_of(fault) != storage::Remedy::none; }, action);
}

}  // namespace icecore::staging
