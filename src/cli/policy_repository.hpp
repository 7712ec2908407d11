// SPDX-License-Identifier: Apache-2.0
// The repository a policy names.
#pragma once

#include "cli/session.hpp"
#include "policy/policy.hpp"

namespace icecore::cli {

// Opens it. What the policy says about the key comes first; what it leaves open, options and environment fill.
OpenRepository open_policy_repository(const Session& session, const policy::Policy& policy,
                                      const std::stop_token& stop);
// The same without staging, for what must see the repository as it is.
OpenRepository open_policy_directly(const Session& session, const policy::Policy& policy, const std::stop_token& stop);
// For who only looks (session.hpp).
OpenRepository open_policy_to_look(const Session& session, const policy::Policy& policy, const std::stop_token& stop);

}  // namespace icecore::cli
