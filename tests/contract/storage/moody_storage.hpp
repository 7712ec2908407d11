// SPDX-License-Identifier: Apache-2.0
// A storage far away, as a test wants it: dead, full, denying, forgetting what was not fsynced; and what it was asked.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/handle.hpp"
#include "contract/storage/remote_end.hpp"

namespace icecore::contract {

class MoodyStorage final : public storage::Storage {
 public:
  explicit MoodyStorage(RemoteEnd& end) : end_(end) {}

  std::string url() const override { return "memory"; }
  using Storage::put;
  void put(const std::string& name, std::span<const base::ByteView> parts) override {
    called();
    const auto [fault, action] = end_.state_.with([&](const RemoteEnd::State& state) {
      const bool meant = state.puts && name.starts_with(state.put_prefix);
      return std::pair(meant ? state.puts : std::nullopt, state.before_put);
    });
    if (fault) base::fail(*fault, "'{}' cannot be put now", name);
    if (action) action(name);
    end_.objects.put(name, parts);
    end_.state_.with([&](RemoteEnd::State& state) { state.put_names.push_back(name); });
  }
  // As over a network: the next is taken while the bytes of the last are under way.
  void put_files(const storage::NextFile& next, const storage::FileStored& stored) override {
    std::size_t count = 0;
    const base::ScopeExit note(
        [&] { end_.state_.with([&](RemoteEnd::State& state) { state.runs.push_back(count); }); });
    for (std::optional<storage::NamedFile> file = next(); file;) {
      std::optional<storage::NamedFile> following = next();
      put_file(file->name, file->file);
      ++count;
      stored(file->name);
      file = following ? std::move(following) : next();
    }
  }
  std::unique_ptr<storage::PreparedFile> prepare_file(const std::string& name,
                                                      const std::filesystem::path& file) override {
    called();
    end_.state_.with([&](RemoteEnd::State& state) { state.prepared_names.push_back(name); });
    return Storage::prepare_file(name, file);
  }
  void replace(const std::string& name, base::ByteView bytes) override { called().replace(name, bytes); }
  base::Bytes get(const std::string& name, std::uint64_t size_max) override { return called().get(name, size_max); }
  base::Bytes get_range(const std::string& name, std::uint64_t offset, std::size_t length) override {
    return called().get_range(name, offset, length);
  }
  bool exists(const std::string& name) override { return called().exists(name); }
  std::optional<std::uint64_t> size_of(const std::string& name) override { return called().size_of(name); }
  std::vector<std::optional<std::uint64_t>> sizes_of(const std::vector<std::string>& names) override {
    MemoryStorage& objects = called();
    if (const auto action = end_.state_.with([](const RemoteEnd::State& state) { return state.before_look; })) action();
    return objects.sizes_of(names);
  }
  std::vector<storage::ObjectInfo> list(const std::string& folder) override {
    MemoryStorage& objects = called();
    if (const auto action = end_.state_.with([](const RemoteEnd::State& state) { return state.before_list; }))
      action(folder);
    return objects.list(folder);
  }
  void remove(const std::string& name) override { called().remove(name); }
  bool durable_puts() const override {
    return end_.state_.with([](const RemoteEnd::State& state) { return state.durable; });
  }
  std::uint64_t generation() const override {
    return end_.state_.with([](const RemoteEnd::State& state) { return state.generation; });
  }

 private:
  MemoryStorage& called() {
    const auto fault = end_.state_.with([](RemoteEnd::State& state) {
      ++state.calls;
      return state.all;
    });
    if (fault) base::fail(*fault, "the remote does not work now");
    return end_.objects;
  }
  RemoteEnd& end_;
};

}  // namespace icecore::contract
