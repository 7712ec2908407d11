// SPDX-License-Identifier: Apache-2.0
// A block device of a test's own: a file behind a loop device, full of ones, so that what is left of it shows.
#pragma once

#include <filesystem>
#include <string>

#include "base/process.hpp"
#include "rig/disk_image.hpp"

namespace icecore::system_test {

class LoopDevice {
 public:
  LoopDevice(const std::filesystem::path& folder, std::uint64_t size) : image_(folder / "device.img") {
    rig::make_image(image_, {.format = "raw", .size = size});
    rig::write_pattern(image_, "raw", 0, size, 0xff);
    path_ = losetup({"--find", "--show", image_.string()});
    path_.pop_back();
  }
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  ~LoopDevice() { base::run({.arguments = {"losetup", "--detach", path_}}, std::chrono::seconds(30)); }

  const std::string& path() const noexcept { return path_; }
  std::string hash() const { return rig::content_hash(path_, "raw"); }

 private:
  static std::string losetup(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "losetup");
    return base::run_checked({.arguments = std::move(arguments)}, std::chrono::seconds(30));
  }

  std::filesystem::path image_;
  std::string path_;
};

}  // namespace icecore::system_test
