// SPDX-License-Identifier: Apache-2.0
// Undoing whatever a test made, however the test ends: a janitor process (tests/rig/janitor) is told of each thing
// before it is made, and undoes them all, newest first, once its pipe closes: by us, or by the kernel at our death.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "base/handle.hpp"

namespace icecore::rig {

class Undo {
 public:
  explicit Undo(std::string uri = "qemu:///system");
  Undo(const Undo&) = delete;
  Undo& operator=(const Undo&) = delete;
  // Undoes everything and waits for the end of it, at most 90 s.
  ~Undo();

  // Destroys and undefines the domain with its metadata and NVRAM, and kills its QEMU if libvirt cannot.
  void domain(std::string_view name);
  // Removes the folder with all below it, mounts first.
  void folder(const std::filesystem::path& path);
  // Stops and undefines the storage pool; its volumes stay, as files of a folder.
  void pool(std::string_view name);
  // Stops the network, and removes a bridge of that name if it is left.
  void network(std::string_view name);
  // Undefines libvirt's secret.
  void secret(std::string_view uuid);
  // Detaches every loop device that this file is behind.
  void loop(const std::filesystem::path& file);
  // Kills the process, and never another one that got its number later.
  void process(pid_t pid);

 private:
  void tell(std::string_view line);
  base::Fd pipe_;
  base::Fd done_;  // reads end of file once the janitor has ended
};

// A folder of the test's own, open to QEMU's user (0755) and removed with its Undo.
std::filesystem::path make_folder(Undo& undo);

// Folder and Undo in one, for tests that need nothing else.
class TestFolder {
 public:
  TestFolder() : path_(make_folder(undo_)) {}
  const std::filesystem::path& path() const noexcept { return path_; }
  Undo& undo() noexcept { return undo_; }

 private:
  Undo undo_;
  std::filesystem::path path_;
};

}  // namespace icecore::rig
