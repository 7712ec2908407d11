// SPDX-License-Identifier: Apache-2.0
// Objects as files below one folder of this host.
#pragma once

#include <filesystem>

#include "storage/storage.hpp"

namespace icecore::storage {

class LocalFolder final : public Storage {
 public:
  // The folder must exist, else Fault::not_found. It is never made here, and once it is gone, or the disk that was
  // mounted there, everything is Fault::unavailable.
  explicit LocalFolder(std::filesystem::path root);

  std::string url() const override { return root_.string(); }
  using Storage::put;
  void put(const std::string& name, std::span<const base::ByteView> parts) override;
  void replace(const std::string& name, base::ByteView bytes) override;
  base::Bytes get(const std::string& name, std::uint64_t size_max) override;
  base::Bytes get_range(const std::string& name, std::uint64_t offset, std::size_t length) override;
  bool exists(const std::string& name) override;
  std::optional<std::uint64_t> size_of(const std::string& name) override;
  std::vector<ObjectInfo> list(const std::string& folder) override;
  std::vector<std::string> entries() override;
  void remove(const std::string& name) override;
  std::size_t remove_leftovers(std::span<const std::string> folders, std::chrono::seconds age) override;

  // Where an object lies, or would.
  std::filesystem::path file_of(const std::string& name) const;

 private:
  void expect_root() const;

  std::filesystem::path root_;
  bool was_mounted_ = false;  // the root itself is where a disk was mounted
};

}  // namespace icecore::storage
