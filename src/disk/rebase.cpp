// SPDX-License-Identifier: Apache-2.0
#include "disk/rebase.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/durable_file.hpp"
#include "disk/qemu_img.hpp"

namespace icecore::disk {

void rebase_onto(const std::filesystem::path& overlay, const std::filesystem::path& base,
                 const std::string& base_format) {
  const std::string what = fmt::format("put '{}' over '{}'", overlay.string(), base.string());
  qemu_img({"rebase", "-u", "-f", "qcow2", "-b", qemu_path(base), "-F", base_format, qemu_path(overlay)}, what);
  const base::Fd file = base::open_file(overlay, O_RDONLY);
  if (::fsync(file.get()) != 0) base::fail_errno(errno, "fsync '" + overlay.string() + "'");
}

}  // namespace icecore::disk
