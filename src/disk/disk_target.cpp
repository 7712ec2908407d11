// SPDX-License-Identifier: Apache-2.0
#include "disk/disk_target.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "disk/nbd_target.hpp"
#include "disk/qemu_img.hpp"
#include "disk/raw_target.hpp"

namespace icecore::disk {

namespace {

using base::Fault;

std::vector<std::string> creation_arguments(const std::filesystem::path& path, const TargetLayout& layout) {
  std::vector<std::string> arguments = {"create", "-q", "-f", layout.format};
  if (layout.format == "qcow2") {
    arguments.push_back("-o");
    arguments.push_back(fmt::format("cluster_size={},compat={}{}", layout.cluster_size, layout.compat,
                                    layout.extended_l2 ? ",extended_l2=on" : ""));
  }
  arguments.push_back(qemu_path(path));
  arguments.push_back(std::to_string(layout.virtual_size));
  return arguments;
}

// O_EXCL decides who owns the name; qemu-img then fills the file and keeps its owner and mode.
void claim_name(const std::filesystem::path& path) {
  if (std::filesystem::exists(std::filesystem::symlink_status(path))) {
    base::Error error(Fault::conflict, fmt::format("'{}' exists already", path.string()));
    throw error.add_hint("choose another folder; restores never write over a file");
  }
  base::open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
}

}  // namespace

void create_image(const std::filesystem::path& path, const TargetLayout& layout) {
  if (layout.format != "qcow2" && layout.format != "raw") {
    base::fail(Fault::usage, "cannot create '{}': format {} is neither qcow2 nor raw", path.string(), layout.format);
  }
  claim_name(path);
  base::ScopeExit discard([&] { ::unlink(path.c_str()); });
  qemu_img(creation_arguments(path, layout), fmt::format("create image '{}'", path.string()));
  discard.dismiss();
}

void DiskTarget::zero(std::uint64_t, std::uint64_t, const std::stop_token&) {}

std::unique_ptr<DiskTarget> DiskTarget::open(const TargetOptions& options) {
  if (options.layout.format == "raw") return std::make_unique<RawTarget>(options);
  return std::make_unique<NbdTarget>(options);
}

}  // namespace icecore::disk
