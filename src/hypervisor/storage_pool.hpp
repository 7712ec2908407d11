// SPDX-License-Identifier: Apache-2.0
// libvirt's storage pools, as far as files are put into them or found in them.
#pragma once

#include <filesystem>
#include <string>

#include "hypervisor/connection.hpp"

namespace icecore::hypervisor {

struct StoragePool {
  std::string name;
  std::string type;  // dir, fs, netfs, logical, ...
  bool active = false;
  std::filesystem::path path;  // its target: the folder of one that holds files

  // Its volumes are files in `path`.
  bool holds_files() const { return type == "dir" || type == "fs" || type == "netfs"; }
};

// Fault::not_found names the pools there are.
StoragePool find_pool(Connection& connection, const std::string& name);

// Looks at the pool's folder again, so that files made there show as volumes.
void refresh_pool(Connection& connection, const std::string& name);

}  // namespace icecore::hypervisor
