// SPDX-License-Identifier: Apache-2.0
#include "disk/overlay_image.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "disk/qemu_img.hpp"

namespace icecore::disk {

namespace {

using base::Fault;

// How long QEMU stretches the passphrase each time it opens the overlay, in milliseconds: once while the guest is
// frozen. QEMU's default, 2000, makes a guess at the passphrase as dear as that; in the overlay it is this much cheaper
// for whoever gets hold of the file. A passphrase drawn at random, as libvirt's own tools draw it, needs no stretching.
constexpr int k_iteration_ms = 10;

// Before QEMU 9.1 the time for that is found out by the thread's CPU time, which the kernel may count in such coarse
// steps that QEMU sees none go by, and gives up.
constexpr int k_tries_max = 50;
constexpr std::string_view k_coarse_clock = "accurate CPU usage";

std::vector<std::string> creation_arguments(const std::filesystem::path& path, const ImageInfo& base, bool encrypted) {
  std::string options = "compat=1.1";
  if (base.format == "qcow2") options += fmt::format(",cluster_size={}", base.cluster_size);
  if (base.extended_l2) options += ",extended_l2=on";
  if (encrypted)
    options +=
        fmt::format(",encrypt.format=luks,encrypt.key-secret={},encrypt.iter-time={}", k_key_object, k_iteration_ms);
  return {"create",
          "-q",
          "-f",
          "qcow2",
          "-u",
          "-b",
          qemu_path(base.path),
          "-F",
          base.format,
          "-o",
          options,
          qemu_path(path),
          std::to_string(base.virtual_size)};
}

void create_encrypted(const std::vector<std::string>& arguments, const base::Passphrase& key, const std::string& what,
                      const std::stop_token& stop) {
  for (int tries = 1;; ++tries) {
    try {
      qemu_img(arguments, key, what, k_metadata_deadline, stop);
      return;
    } catch (const base::Error& error) {
      const bool again = std::string_view(error.what()).find(k_coarse_clock) != std::string_view::npos;
      if (!again || tries == k_tries_max) throw;
    }
  }
}

}  // namespace

void create_overlay(const std::filesystem::path& path, const ImageInfo& base, const base::Passphrase* key,
                    const std::stop_token& stop) {
  if (std::filesystem::exists(std::filesystem::symlink_status(path)))
    base::fail(Fault::conflict, "the overlay '{}' exists already", path.string());
  const std::filesystem::path work = unfinished_overlay(path);
  // qemu-img fills the file and keeps its mode.
  const base::Fd file = base::open_file(work, O_RDWR | O_CREAT | O_EXCL, 0600);
  base::ScopeExit discard([&] { ::unlink(work.c_str()); });
  const std::vector<std::string> arguments = creation_arguments(work, base, key != nullptr);
  const std::string what = fmt::format("create the overlay '{}'", path.string());
  if (key != nullptr) {
    create_encrypted(arguments, *key, what, stop);
  } else {
    qemu_img(arguments, what, k_metadata_deadline, stop);
  }
  if (::fsync(file.get()) != 0) base::fail_errno(errno, "fsync '" + work.string() + "'");
  std::filesystem::rename(work, path);
  discard.dismiss();
  base::sync_folder(path.parent_path());
}

std::filesystem::path unfinished_overlay(const std::filesystem::path& path) { return path.string() + ".new"; }

}  // namespace icecore::disk
