// SPDX-License-Identifier: Apache-2.0
// What the tests of this folder start from: a domain of their own and the room's view of it.
#pragma once

#include <gmock/gmock.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "hypervisor/block_commit.hpp"
#include "hypervisor/connection.hpp"
#include "hypervisor/domain.hpp"
#include "hypervisor/snapshot.hpp"
#include "rig/requirements.hpp"
#include "rig/test_domain.hpp"

namespace icecore::hypervisor {

inline HelperProgram internal_program() { return {{ICECORE_INTERNAL_PROGRAM}}; }

inline CommitOptions commit_options() {
  CommitOptions options;
  options.helper = internal_program();
  return options;
}

inline SnapshotOptions snapshot_options() {
  SnapshotOptions options;
  options.helper = internal_program();
  return options;
}

// A rig domain and our handle on it.
struct Case {
  explicit Case(rig::DomainOptions options = {}) : rig(std::move(options)) {}

  // For transient domains, which libvirt knows only while they run.
  Domain& domain() {
    if (!found) found.emplace(connection.domain(rig.uuid()));
    return *found;
  }
  OverlayDisk overlay(const std::string& target = "vda", const std::string& run = "r1") const {
    const std::string path = rig.disk_path(target);
    return {target, path, rig.folder() / (rig.uuid() + "." + target + "." + run + ".ovl.qcow2")};
  }

  rig::TestDomain rig;
  Connection connection{rig.uri()};
  std::optional<Domain> found;
};

template <typename Action>
base::Fault fault_of_action(Action&& action) {
  try {
    action();
  } catch (const base::Error& error) {
    return error.fault();
  }
  ADD_FAILURE() << "nothing was thrown";
  return base::Fault::internal;
}

template <typename Action>
std::string error_of_action(Action&& action) {
  try {
    action();
  } catch (const base::Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

}  // namespace icecore::hypervisor
