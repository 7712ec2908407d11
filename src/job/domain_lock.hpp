// SPDX-License-Identifier: Apache-2.0
// One job at a time on one domain of this host: a locked file below /run, let go by the kernel when the process
// dies, whatever the way. Not in the state folder: two icecore with different ones must see each other too.
#pragma once

#include <optional>
#include <string>

#include "base/handle.hpp"

namespace icecore::job {

class DomainLock {
 public:
  // Fault::busy naming the process that holds it.
  DomainLock(const std::string& domain_uuid, const std::string& domain_name);

  // Whether somebody holds it. Several may ask at once, and who wants the lock meanwhile waits for the moment it takes.
  static bool is_held(const std::string& domain_uuid);

  // Empty when somebody holds it.
  static std::optional<DomainLock> try_lock(const std::string& domain_uuid);

 private:
  explicit DomainLock(base::Fd file) : file_(std::move(file)) {}
  base::Fd file_;
};

}  // namespace icecore::job
