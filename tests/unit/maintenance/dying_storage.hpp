// SPDX-License-Identifier: Apache-2.0
// A storage that dies at a chosen write.
#pragma once

#include "base/error.hpp"
#include "storage/storage.hpp"

namespace icecore::maintenance {

// Does what the storage below it does until `writes_left` are used up; from then on every call fails, as if the process
// had been killed or the network cut before that write.
class DyingStorage final : public storage::Storage {
 public:
  DyingStorage(storage::Storage& below, int writes_left) : below_(below), writes_left_(writes_left) {}

  std::string url() const override { return below_.url(); }
  using Storage::put;
  void put(const std::string& name, std::span<const base::ByteView> parts) override {
    write();
    below_.put(name, parts);
  }
  void replace(const std::string& name, base::ByteView bytes) override {
    write();
    below_.replace(name, bytes);
  }
  base::Bytes get(const std::string& name, std::uint64_t size_max) override { return live().get(name, size_max); }
  base::Bytes get_range(const std::string& name, std::uint64_t offset, std::size_t length) override {
    return live().get_range(name, offset, length);
  }
  bool exists(const std::string& name) override { return live().exists(name); }
  std::vector<storage::ObjectInfo> list(const std::string& folder) override { return live().list(folder); }
  void remove(const std::string& name) override {
    write();
    below_.remove(name);
  }

  bool died() const { return died_; }

 private:
  void write() {
    if (writes_left_-- <= 0) died_ = true;
    live();
  }
  storage::Storage& live() {
    if (died_) base::fail(base::Fault::unavailable, "the process is dead");
    return below_;
  }

  storage::Storage& below_;
  int writes_left_;
  bool died_ = false;
};

}  // namespace icecore::maintenance
