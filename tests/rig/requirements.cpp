// SPDX-License-Identifier: Apache-2.0
// Each part has one probe that answers with the reason it is missing, or with nothing.
#include "rig/requirements.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <sstream>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/process.hpp"
#include "rig/icecore_run.hpp"

namespace icecore::rig {

namespace {

using base::Milliseconds;
using Reason = std::optional<std::string>;

constexpr Milliseconds k_start_deadline{60'000};
constexpr Milliseconds k_build_deadline{300'000};

bool in_path(std::string_view program) {
  std::istringstream folders(std::string(std::getenv("PATH")) + ":/usr/sbin:/sbin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (::access((std::filesystem::path(folder) / program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

Reason program(std::string_view name) {
  if (in_path(name)) return std::nullopt;
  return fmt::format("'{}' is not installed (packaging/install runtime guest test)", name);
}

Reason root() {
  if (::geteuid() == 0) return std::nullopt;
  return "needs root";
}

Reason qemu() {
  if (Reason missing = program("qemu-system-x86_64")) return missing;
  return program("qemu-img");
}

// Held as long as this process lives: libvirt-daemons stops what it started only when nobody holds it.
void hold_libvirt() {
  static const base::Fd users = base::open_file("/run/lock/icecore-rig.users", O_RDWR | O_CREAT, 0644);
  ::flock(users.get(), LOCK_SH);
}

Reason last_line(const base::Outcome& outcome) {
  if (outcome.exit_code == 0) return std::nullopt;
  std::string text = outcome.error_output;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

Reason libvirt() {
  if (Reason missing = root()) return missing;
  if (Reason missing = program("libvirtd")) return missing;
  if (Reason missing = program("virsh")) return missing;
  hold_libvirt();
  return last_line(base::run(
      {.arguments = {ICECORE_RIG_FOLDER "/libvirt-daemons"}, .pass_descriptors = {}, .input = {}}, k_start_deadline));
}

Reason guest() {
  for (const char* name : {"busybox", "cpio", "g++"}) {
    if (Reason missing = program(name)) return missing;
  }
  return last_line(base::run({.arguments = {ICECORE_RIG_FOLDER "/guest-image"}, .pass_descriptors = {}, .input = {}},
                             k_build_deadline));
}

Reason icecore_program() {
  const std::string path = icecore_path();
  if (!path.empty() && ::access(path.c_str(), X_OK) == 0) return std::nullopt;
  return fmt::format("the program '{}' is not built", path);
}

Reason probe(std::string_view part) {
  static const std::map<std::string_view, Reason (*)()> probes = {
      {"root", root}, {"qemu", qemu}, {"libvirt", libvirt}, {"guest", guest}, {"icecore", icecore_program}};
  if (part.starts_with("program:")) return program(part.substr(8));
  return probes.at(part)();
}

bool required(std::string_view part) {
  const char* list = std::getenv("ICECORE_REQUIRE");
  std::istringstream names(list != nullptr ? list : "");
  for (std::string name; std::getline(names, name, ',');) {
    if (name == part || name == "all" || part == "program:" + name) return true;
  }
  return false;
}

}  // namespace

std::optional<MissingPart> missing_part(std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) {
    if (Reason reason = probe(part)) return MissingPart{std::move(*reason), required(part)};
  }
  return std::nullopt;
}

std::string guest_image() {
  std::string folder = base::run_checked(
      {.arguments = {ICECORE_RIG_FOLDER "/guest-image"}, .pass_descriptors = {}, .input = {}}, k_build_deadline);
  folder.erase(folder.find_last_not_of('\n') + 1);
  return folder;
}

}  // namespace icecore::rig
