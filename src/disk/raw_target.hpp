// SPDX-License-Identifier: Apache-2.0
// A raw image is its own content: plain writes to the sparse file or the block device, no server between.
#pragma once

#include <vector>

#include "base/handle.hpp"
#include "disk/disk_target.hpp"
#include "disk/write_behind.hpp"

namespace icecore::disk {

class RawTarget final : public DiskTarget {
 public:
  explicit RawTarget(const TargetOptions& options);

  TargetWriter& writer(unsigned index) override { return writers_.at(index); }
  void zero(std::uint64_t from, std::uint64_t to, const std::stop_token& stop) override;
  void finish(const std::stop_token& stop) override;

 private:
  class Writer final : public TargetWriter {
   public:
    Writer(int fd, const TargetOptions& options)
        : fd_(fd), path_(options.image), device_(options.device), behind_(fd) {}
    void write(std::uint64_t offset, base::ByteView bytes, const std::stop_token& stop) override;
    void drain(const std::stop_token&) override {}  // pwrite is done when it returns

   private:
    void write_run(std::uint64_t offset, base::ByteView bytes);
    int fd_;  // of the target
    std::filesystem::path path_;
    bool device_;
    WriteBehind behind_;
  };

  std::filesystem::path path_;
  bool device_;
  base::Fd file_;
  std::uint64_t size_ = 0;  // of a device
  std::vector<Writer> writers_;
};

}  // namespace icecore::disk
