// SPDX-License-Identifier: Apache-2.0
#include "staging/remote_link.hpp"

namespace icecore::staging {

using base::Fault;

RemoteLink::RemoteLink(Opener opener, base::Milliseconds rest) : opener_(std::move(opener)), rest_(rest) {}

std::shared_ptr<storage::Storage> RemoteLink::open() {
  return opening_.with([&](int&) {
    auto storage = state_.with([](State& state) { return state.storage; });
    if (storage) return storage;
    storage = opener_();
    state_.with([&](State& state) { state.storage = storage; });
    return storage;
  });
}

std::string RemoteLink::trouble() const {
  return state_.with([](const State& state) { return state.trouble; });
}

void RemoteLink::note_reached() {
  state_.with([](State& state) {
    state.trouble.clear();
    state.resting.reset();
  });
}

void RemoteLink::note(const base::Error& error) {
  if (error.fault() != Fault::unavailable && error.fault() != Fault::denied) return;
  state_.with([&](State& state) {
    state.trouble = error.what();
    if (error.fault() == Fault::unavailable) state.resting.emplace();
  });
}

void RemoteLink::fail_while_resting() const {
  const std::string trouble = state_.with([&](const State& state) {
    return state.resting && state.resting->elapsed() < rest_ ? state.trouble : std::string();
  });
  if (!trouble.empty()) base::fail(Fault::unavailable, "{}", trouble);
}

}  // namespace icecore::staging
