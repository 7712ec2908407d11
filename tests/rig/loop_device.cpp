// SPDX-License-Identifier: Apache-2.0
#include "rig/loop_device.hpp"

#include "base/process.hpp"

namespace icecore::rig {

std::filesystem::path attach_loop(Undo& undo, const std::filesystem::path& file) {
  undo.loop(file);
  std::string device =
      base::run_checked({.arguments = {"losetup", "--find", "--show", file.native()}}, base::Milliseconds(20'000));
  return device.substr(0, device.find('\n'));
}

}  // namespace icecore::rig
