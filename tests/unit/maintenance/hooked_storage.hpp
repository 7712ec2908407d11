// SPDX-License-Identifier: Apache-2.0
// A storage that tells before it does something, so that a test can let others act at that very moment,
// and that may lie in its lists.
#pragma once

#include <functional>

#include "storage/storage.hpp"

namespace icecore::maintenance {

class HookedStorage final : public storage::Storage {
 public:
  // Told before each call: "put index/3f2a...", "get ...", "list packs", "remove ...".
  using Hook = std::function<void(const std::string& call)>;
  HookedStorage(storage::Storage& below, Hook hook) : below_(below), hook_(std::move(hook)) {}

  std::function<void(std::vector<storage::ObjectInfo>&)> change_list = [](auto&) {};

  std::string url() const override { return below_.url(); }
  using Storage::put;
  void put(const std::string& name, std::span<const base::ByteView> parts) override {
    hook_("put " + name);
    below_.put(name, parts);
  }
  void replace(const std::string& name, base::ByteView bytes) override {
    hook_("replace " + name);
    below_.replace(name, bytes);
  }
  base::Bytes get(const std::string& name, std::uint64_t size_max) override {
    hook_("get " + name);
    return below_.get(name, size_max);
  }
  base::Bytes get_range(const std::string& name, std::uint64_t offset, std::size_t length) override {
    hook_("get " + name);
    return below_.get_range(name, offset, length);
  }
  bool exists(const std::string& name) override { return below_.exists(name); }
  std::vector<storage::ObjectInfo> list(const std::string& folder) override {
    hook_("list " + folder);
    std::vector<storage::ObjectInfo> objects = below_.list(folder);
    change_list(objects);
    return objects;
  }
  void remove(const std::string& name) override {
    hook_("remove " + name);
    below_.remove(name);
  }

 private:
  storage::Storage& below_;
  Hook hook_;
};

}  // namespace icecore::maintenance
