// SPDX-License-Identifier: Apache-2.0
// A test domain with a repository, a key and a state folder of its own, and icecore called with them as a user
// would. Expectations that every job must meet, whatever happened to it, are here once.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "rig/icecore_run.hpp"
#include "rig/test_domain.hpp"

namespace icecore::system_test {

class ProtectedDomain {
 public:
  explicit ProtectedDomain(rig::DomainOptions options = {});

  rig::TestDomain domain;
  rig::Environment environment;  // of each run
  std::string url = {};          // of the repository; empty: repository()

  std::filesystem::path staging() const { return domain.folder() / "staging"; }
  std::filesystem::path repository() const { return domain.folder() / "repository"; }
  std::filesystem::path key_file() const { return domain.folder() / "key"; }
  std::filesystem::path state_dir() const { return domain.folder() / "state"; }

  // `arguments` with repository, key and state folder added.
  std::vector<std::string> with_options(std::vector<std::string> arguments) const;
  // Runs icecore to its end.
  rig::IcecoreOutcome run(std::vector<std::string> arguments, const rig::Environment& environment = {}) const;
  // As run(), and anything but exit code 0 fails the test.
  rig::IcecoreOutcome must(std::vector<std::string> arguments, const rig::Environment& environment = {}) const;
  void init() const { must({"init"}); }

  // The ids of the restore points, oldest first.
  std::vector<std::string> points() const;
  // The content hash of one disk of a point, restored into a folder of its own.
  std::string restored_hash(const std::string& point, const std::string& target = "vda") const;

  // The persistent XML, for comparing: its lines in an order of their own, since libvirt puts elements in another order
  // when it reads its own text again.
  std::string definition() const;

  // On its bases, live and persistent; no overlay file, no block job, no snapshot known to libvirt, no open job in the
  // journal.
  void expect_at_rest() const;
};

// Tried until it is so; fails the test after a minute.
void wait_until(const std::string& what, const std::function<bool()>& condition);

}  // namespace icecore::system_test
