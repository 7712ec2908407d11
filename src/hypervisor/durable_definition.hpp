// SPDX-License-Identifier: Apache-2.0
// Domain definitions that outlive power loss. libvirt writes one beside the old, fsyncs it and renames it, but not
// durably: for seconds the one before may come back, which names other disks.
#pragma once

#include <filesystem>
#include <string>

#include "hypervisor/connection.hpp"

namespace icecore::hypervisor {

// Makes durable what libvirt has defined so far, and undefined. `domain_uuid` may be gone. That it cannot be, or that
// the definitions are on another host, is no failure: the former is logged.
void make_definition_durable(Connection& connection, const std::string& domain_uuid) noexcept;

// The same of one folder of definitions. `domain_name` may be empty, or have none there; nor need there be the folder.
void sync_definition(const std::filesystem::path& folder, const std::string& domain_name);

}  // namespace icecore::hypervisor
