// SPDX-License-Identifier: Apache-2.0
// A temp folder of small real images made by qemu-img and qemu-io, and a plain model of what a disk holds.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/process.hpp"

namespace icecore::disk {

class ImageTest : public ::testing::Test {
 protected:
  ImageTest() {
    std::string path = (std::filesystem::temp_directory_path() / "icecore-disk-test-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("no temp folder");
    folder_ = path;
  }
  ~ImageTest() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path file(const std::string& name) const { return folder_ / name; }

  static void run(std::vector<std::string> arguments) {
    base::run_checked({.arguments = std::move(arguments)}, std::chrono::minutes(1));
  }

  // `options` as for qemu-img create -o, or empty.
  std::filesystem::path make(const std::string& name, const std::string& format, const std::string& size,
                             const std::string& options = "") {
    std::vector<std::string> arguments = {"qemu-img", "create", "-q", "-f", format};
    if (!options.empty()) arguments.insert(arguments.end(), {"-o", options});
    arguments.insert(arguments.end(), {file(name).string(), size});
    run(arguments);
    return file(name);
  }

  std::filesystem::path make_overlay(const std::string& name, const std::filesystem::path& base,
                                     const std::string& base_format) {
    run({"qemu-img", "create", "-q", "-f", "qcow2", "-F", base_format, "-b", base.string(), file(name).string()});
    return file(name);
  }

  // qemu-io commands on the image, for example "write -P 7 64k 4k", "write -z 0 1M", "write -c -P 1 0 64k".
  static void io(const std::filesystem::path& image, const std::string& format,
                 const std::vector<std::string>& commands) {
    std::vector<std::string> arguments = {"qemu-io", "-f", format};
    for (const std::string& command : commands) arguments.insert(arguments.end(), {"-c", command});
    arguments.push_back(image.string());
    run(arguments);
  }

  // The action's base::Error; a test failure when it does not throw one.
  template <typename Action>
  static base::Error error_of(Action&& action) {
    try {
      action();
    } catch (const base::Error& error) {
      return error;
    }
    ADD_FAILURE() << "nothing was thrown";
    return {base::Fault::internal, "nothing was thrown"};
  }

  std::filesystem::path folder_;
};

}  // namespace icecore::disk
