// SPDX-License-Identifier: Apache-2.0
// What is behind a MoodyStorage, and how a test changes its moods.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "contract/storage/memory_storage.hpp"

namespace icecore::contract {

// What is at the other end; outlives the connections to it.
class RemoteEnd {
 public:
  MemoryStorage objects;

  // Every operation throws this fault; nothing: it works again.
  void fail_all(std::optional<base::Fault> fault) {
    state_.with([&](State& state) { state.all = fault; });
  }
  // The same for put() of names that start with `prefix`.
  void fail_puts(std::string prefix, std::optional<base::Fault> fault) {
    state_.with([&](State& state) {
      state.put_prefix = std::move(prefix);
      state.puts = fault;
    });
  }
  // Called before each put(), outside of any lock.
  void before_put(std::function<void(const std::string&)> action) {
    state_.with([&](State& state) { state.before_put = std::move(action); });
  }
  // The same before each list().
  void before_list(std::function<void(const std::string&)> action) {
    state_.with([&](State& state) { state.before_list = std::move(action); });
  }
  // The same before each sizes_of().
  void before_look(std::function<void()> action) {
    state_.with([&](State& state) { state.before_look = std::move(action); });
  }
  void set_durable(bool durable) {
    state_.with([&](State& state) { state.durable = durable; });
  }
  // A connection was lost and made anew.
  void lose_connection() {
    state_.with([&](State& state) { ++state.generation; });
  }
  // As a power loss leaves a file: `keep` bytes of it, and zeroes up to `size`.
  void damage(const std::string& name, std::size_t keep, std::size_t size) {
    base::Bytes bytes = objects.get(name, base::k_mib * 64);
    bytes.resize(keep);
    bytes.resize(size);
    objects.replace(name, bytes);
  }

  std::vector<std::string> puts() const {
    return state_.with([](const State& state) { return state.put_names; });
  }
  // How many files each put_files() stored.
  std::vector<std::size_t> runs() const {
    return state_.with([](const State& state) { return state.runs; });
  }
  // By prepare_file().
  std::vector<std::string> prepared() const {
    return state_.with([](const State& state) { return state.prepared_names; });
  }
  std::uint64_t calls() const {
    return state_.with([](const State& state) { return state.calls; });
  }

 private:
  friend class MoodyStorage;
  struct State {
    std::optional<base::Fault> all;
    std::string put_prefix;
    std::optional<base::Fault> puts;
    std::function<void(const std::string&)> before_put;
    std::function<void(const std::string&)> before_list;
    std::function<void()> before_look;
    bool durable = true;
    std::uint64_t generation = 0;
    std::uint64_t calls = 0;
    std::vector<std::string> put_names;
    std::vector<std::string> prepared_names;
    std::vector<std::size_t> runs;
  };
  base::Guarded<State> state_;
};

}  // namespace icecore::contract
