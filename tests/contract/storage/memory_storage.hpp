// SPDX-License-Identifier: Apache-2.0
// A storage that lives in memory, and lets tests damage what it holds.
#pragma once

#include <map>

#include "base/error.hpp"
#include "base/guarded.hpp"
#include "storage/storage.hpp"

namespace icecore::contract {

class MemoryStorage : public storage::Storage {
  using Objects = std::map<std::string, base::Bytes>;

 public:
  std::string url() const override { return "memory"; }
  using Storage::put;
  void put(const std::string& name, std::span<const base::ByteView> parts) override {
    base::Bytes whole;
    for (const base::ByteView part : parts) whole.insert(whole.end(), part.begin(), part.end());
    objects_.with([&](Objects& objects) {
      const auto [at, fresh] = objects.try_emplace(name, whole);
      if (!fresh && at->second.size() != whole.size()) base::fail(base::Fault::conflict, "object '{}' exists", name);
    });
  }
  void replace(const std::string& name, base::ByteView bytes) override {
    objects_.with([&](Objects& objects) { objects[name] = base::Bytes(bytes.begin(), bytes.end()); });
  }
  base::Bytes get(const std::string& name, std::uint64_t size_max) override {
    return objects_.with([&](Objects& objects) {
      const base::Bytes& bytes = find(objects, name);
      if (bytes.size() > size_max)
        base::fail(base::Fault::corrupt, "object '{}' is larger than {} bytes", name, size_max);
      return bytes;
    });
  }
  base::Bytes get_range(const std::string& name, std::uint64_t offset, std::size_t length) override {
    return objects_.with([&](Objects& objects) {
      const base::Bytes& bytes = find(objects, name);
      if (offset > bytes.size() || length > bytes.size() - offset) {
        base::fail(base::Fault::corrupt, "object '{}' ends before byte {}", name, offset + length);
      }
      const auto from = bytes.begin() + static_cast<std::ptrdiff_t>(offset);
      return base::Bytes(from, from + static_cast<std::ptrdiff_t>(length));
    });
  }
  bool exists(const std::string& name) override {
    return objects_.with([&](Objects& objects) { return objects.contains(name); });
  }
  std::vector<storage::ObjectInfo> list(const std::string& folder) override {
    return objects_.with([&](Objects& objects) {
      std::vector<storage::ObjectInfo> found;
      for (const auto& [name, bytes] : objects) {
        if (name.starts_with(folder + "/")) found.push_back({name, bytes.size()});
      }
      return found;
    });
  }
  void remove(const std::string& name) override {
    objects_.with([&](Objects& objects) { objects.erase(name); });
  }

  void clear() {
    objects_.with([](Objects& objects) { objects.clear(); });
  }

 private:
  static const base::Bytes& find(const Objects& objects, const std::string& name) {
    const auto at = objects.find(name);
    if (at == objects.end()) base::fail(base::Fault::not_found, "there is no object '{}'", name);
    return at->second;
  }
  base::Guarded<Objects> objects_;
};

}  // namespace icecore::contract
