// SPDX-License-Identifier: Apache-2.0
// What a path leads to, to be compared with others, without waiting for ever on a file system that does not answer.
#pragma once

#include <sys/types.h>

#include <filesystem>

#include "base/clock.hpp"

namespace icecore::hypervisor {

struct FileIdentity {
  std::filesystem::path canonical;  // links resolved, as far as it exists; empty: cannot be told
  bool exists = false;
  dev_t file_system = 0;
  ino_t inode = 0;
  dev_t device = 0;  // of a block device's node
};

// Throws Fault::unavailable when the file system does not answer by the deadline, as a network one without its server;
// a thread is then left behind, which ends when it does.
FileIdentity identify(const std::filesystem::path& path, base::Milliseconds deadline = std::chrono::seconds(20));

// Two names of one file: links resolved, one inode (hard links), or two nodes of one device.
bool is_same(const FileIdentity& one, const FileIdentity& other);

}  // namespace icecore::hypervisor
