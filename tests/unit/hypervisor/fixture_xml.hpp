// SPDX-License-Identifier: Apache-2.0
// Domain XMLs kept as files in data/: plain (persistent), running (chains, jobs, runtime elements), odd_disks.
#pragma once

#include <filesystem>
#include <string>

#include "base/bytes.hpp"
#include "base/durable_file.hpp"

namespace icecore::hypervisor {

inline std::string fixture_xml(const std::string& name) {
  return base::to_string(base::read_file(std::filesystem::path(ICECORE_TEST_DATA) / (name + ".xml")));
}

}  // namespace icecore::hypervisor
