// SPDX-License-Identifier: Apache-2.0
#include "disk/offline_commit.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "disk/device_identity.hpp"
#include "disk/image.hpp"
#include "disk/qemu_img.hpp"

namespace icecore::disk {

namespace {

using base::Fault;

void expect_overlay_over(const ImageInfo& overlay, const ImageInfo& base, const std::string& base_format) {
  if (!overlay.backing || !is_same_image(*overlay.backing, base.path)) {
    base::fail(Fault::conflict, "overlay '{}' lies over '{}', not over '{}'", overlay.path.string(),
               overlay.backing ? overlay.backing->string() : "nothing", base.path.string());
  }
  if (overlay.backing_format != base_format) {
    base::fail(Fault::conflict, "overlay '{}' names the format of its base '{}' as '{}', expected {}",
               overlay.path.string(), base.path.string(), overlay.backing_format, base_format);
  }
  // A larger one was resized while the guest ran on it: qemu-img grows the base first, as QEMU's own commit does.
  if (overlay.virtual_size < base.virtual_size) {
    base::fail(Fault::conflict, "overlay '{}' has {} bytes but its base '{}' has {}: one of them was resized",
               overlay.path.string(), overlay.virtual_size, base.path.string(), base.virtual_size);
  }
}

void sync_file(const std::filesystem::path& path) {
  const base::Fd fd = base::open_file(path, O_RDONLY);
  if (::fsync(fd.get()) != 0) base::fail_errno(errno, "fsync '" + path.string() + "'");
}

}  // namespace

void commit_offline(const std::filesystem::path& overlay, const std::filesystem::path& base,
                    const std::string& base_format, base::Milliseconds deadline, std::stop_token stop) {
  const ImageInfo overlay_info = inspect_image(overlay, "qcow2");
  expect_overlay_over(overlay_info, inspect_image(base, base_format), base_format);
  // -b exactly as the overlay spells it: qemu-img compares names. -d keeps the overlay whole.
  qemu_img({"commit", "-q", "-d", "-f", "qcow2", "-b", overlay_info.backing->string(), qemu_path(overlay)},
           fmt::format("commit '{}' into '{}'", overlay.string(), base.string()), deadline, std::move(stop));
  sync_file(base);
}

}  // namespace icecore::disk
