// SPDX-License-Identifier: Apache-2.0
#include "job/off_consistency.hpp"

#include <algorithm>

#include "base/shell_word.hpp"
#include "disk/image_lock.hpp"

namespace icecore::job {

using hypervisor::ShutOff;
using repository::Consistency;

OffConsistency consistency_when_off(ShutOff how, const std::string& left_open) {
  const auto torn = [](std::string why) { return OffConsistency{Consistency::crash, std::move(why)}; };
  const auto taken_for_whole = [&](const char* why) {
    if (!left_open.empty())
      return torn(fmt::format(
          "QEMU did not close the image of disk {} once: it was killed, or the host went down, if not in its last run",
          left_open));
    return OffConsistency{Consistency::filesystem, why, /*known=*/false};
  };
  switch (how) {
    case ShutOff::shut_down: return {Consistency::filesystem, "the domain was shut down"};
    case ShutOff::destroyed: return torn("the domain was forced off (destroyed), its guest was not shut down");
    case ShutOff::crashed: return torn("QEMU crashed or was killed, the guest was not shut down");
    case ShutOff::failed: return torn("the domain's last start failed");
    case ShutOff::saved: return torn("the domain's memory was saved to a file, to which its disks belong");
    case ShutOff::migrated: return torn("the domain was migrated away, and may be running on another host");
    case ShutOff::daemon: return torn("libvirt ended the domain after its own restart, the guest was not shut down");
    case ShutOff::reverted: return taken_for_whole("the domain was reverted to a snapshot");
    case ShutOff::unknown: break;
  }
  return taken_for_whole("libvirt does not know how the domain went off (not started here yet, or libvirt was since)");
}

bool left_open(const disk::ImageInfo& image) {
  return std::any_of(image.bitmaps.begin(), image.bitmaps.end(), [](const auto& bitmap) { return bitmap.in_use; });
}

std::optional<base::Error> refuse_off(ShutOff how, const OffConsistency& off, const BackupOptions& options) {
  if (how == ShutOff::migrated) {
    base::Error error(base::Fault::conflict, off.reason);
    return error.add_hint("back it up on that host; if it does not run there any more, start it here first");
  }
  if (options.quiesce != Quiesce::required || off.consistency != Consistency::crash) return std::nullopt;
  base::Error error(base::Fault::unavailable, "its file systems are not as a shutdown leaves them: " + off.reason);
  return error.add_hint("start the guest and shut it down, or use --quiesce=try, in a policy <quiesce rule=\"try\"/>");
}

std::optional<base::Error> refuse_written(const std::string& target, const std::filesystem::path& image) {
  if (!disk::is_open_in_qemu(image, disk::ImageUser::writer)) return std::nullopt;
  base::Error error(base::Fault::busy, fmt::format("the domain is off here, and yet a QEMU has disk '{}' open for "
                                                   "writing ('{}'): what is read of it would be of no instant",
                                                   target, image.string()));
  return error.add_hint(fmt::format("back it up where it runs; `fuser -v {}` names the process, if it is on this host",
                                    base::shell_word(image.string())));
}

}  // namespace icecore::job
