// SPDX-License-Identifier: Apache-2.0
// Which domains use a file: asked before anything is written over.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "hypervisor/connection.hpp"

namespace icecore::hypervisor {

struct FileUse {
  std::string domain;
  std::string uuid;
  bool running = false;
  std::string role;    // "disk vda", "an image below disk vda", "NVRAM"
  bool below = false;  // an image below a disk: what lies over it fits its content only
};

// The images below an image that no running domain has told libvirt about; empty when it cannot be read.
using ChainReader = std::function<std::vector<std::string>(const std::string& path, const std::string& format)>;

// Every use of the file by any domain, running (live and persistent XML) or not, links followed. Persistent XML rarely
// names backing images: with `chain_of` they are looked up too. Throws Fault::unavailable when the file system of any
// image does not answer.
std::vector<FileUse> users_of(Connection& connection, const std::filesystem::path& file,
                              const ChainReader& chain_of = {});

}  // namespace icecore::hypervisor
