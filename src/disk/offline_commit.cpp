// SPDX-License-Identifier: Apache-2.0
#include "disk/offline_commit.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "disk/device_identity.hpp"
#include "disk/image.hpp"
#include "disk/image_map.hpp"
#include "disk/qemu_img.hpp"

namespace icecore::disk {

namespace {

using base::Fault;

constexpr base::Milliseconds k_compare_deadline = std::chrono::hours(12);

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

// A file's name within an option list, where a comma would end it.
std::string option_value(const std::filesystem::path& path) {
  std::string value;
  for (const char c : qemu_path(path)) value.append(c == ',' ? 2 : 1, c);
  return value;
}

// One encrypted image as a list of options, each with `prefix` before it.
std::string encrypted_options(const std::string& prefix, const ImageInfo& image) {
  return fmt::format("{0}driver={1},{0}encrypt.key-secret={2},{0}file.driver={3},{0}file.filename={4}", prefix,
                     image.format, k_key_object, std::filesystem::is_block_file(image.path) ? "host_device" : "file",
                     option_value(image.path));
}

// QEMU is told of both images: a header has no place for the keys' names, and -b knows no such description.
std::string encrypted_chain(const ImageInfo& overlay, const ImageInfo& base) {
  return encrypted_options("", overlay) + "," + encrypted_options("backing.", base);
}

std::vector<std::string> commit_arguments(const ImageInfo& overlay, const ImageInfo& base, bool encrypted) {
  if (encrypted) return {"commit", "-q", "-d", "--image-opts", encrypted_chain(overlay, base)};
  // -b exactly as the overlay spells it: qemu-img compares names.
  return {"commit", "-q", "-d", "-f", "qcow2", "-b", overlay.backing->string(), qemu_path(overlay.path)};
}

}  // namespace

// -d keeps the overlay whole.
void commit_offline(const std::filesystem::path& overlay, const std::filesystem::path& base,
                    const std::string& base_format, base::Milliseconds deadline, std::stop_token stop,
                    const base::Passphrase* key) {
  const ImageInfo overlay_info = inspect_image(overlay, "qcow2");
  const ImageInfo base_info = inspect_image(base, base_format);
  expect_overlay_over(overlay_info, base_info, base_format);
  const std::vector<std::string> arguments = commit_arguments(overlay_info, base_info, key != nullptr);
  const std::string what = fmt::format("commit '{}' into '{}'", overlay.string(), base.string());
  if (key != nullptr) {
    qemu_img(arguments, *key, what, deadline, std::move(stop));
  } else {
    qemu_img(arguments, what, deadline, std::move(stop));
  }
  sync_file(base);
}

bool shows_its_base(const std::filesystem::path& overlay, const std::filesystem::path& base,
                    const std::string& base_format, std::stop_token stop, const base::Passphrase* key) {
  if (key == nullptr) return same_content(overlay, "qcow2", base, base_format);
  const ImageInfo base_info = inspect_image(base, base_format);
  const std::string one = encrypted_chain(inspect_image(overlay, "qcow2"), base_info);
  try {
    qemu_img({"compare", "-U", "--image-opts", one, encrypted_options("", base_info)}, *key,
             fmt::format("compare '{}' with its base", overlay.string()), k_compare_deadline, std::move(stop));
    return true;
  } catch (const base::Error& error) {
    if (error.fault() != Fault::unavailable) throw;
    return false;  // it tells a difference by its exit code alone
  }
}

bool was_written_to(const std::filesystem::path& overlay, const std::filesystem::path& base,
                    const std::string& base_format, std::stop_token stop, const base::Passphrase* key) {
  if (key == nullptr) {
    ImageMap map(overlay, "qcow2");
    while (const auto entry = map.next_entry(stop)) {
      if (entry->depth == 0) return true;
    }
    return false;
  }
  const std::string images = encrypted_chain(inspect_image(overlay, "qcow2"), inspect_image(base, base_format));
  const std::string what = "read the map of '" + overlay.string() + "'";
  const base::Json map = base::parse_json(
      qemu_img({"map", "-U", "--output=json", "--image-opts", images}, *key, what, k_metadata_deadline, stop), what);
  return std::any_of(map.begin(), map.end(),
                     [&](const base::Json& entry) { return base::json_field<int>(entry, "depth", what) == 0; });
}

}  // namespace icecore::disk
