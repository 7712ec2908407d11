// SPDX-License-Identifier: Apache-2.0
// Random names and this host's own: what makes ids unique across hosts and runs.
#pragma once

#include <cstddef>
#include <string>

namespace icecore::base {

// `bytes` random bytes from the kernel as lower-case hex (two digits a byte).
std::string random_id(std::size_t bytes);

// A random (version 4) UUID in its usual form.
std::string random_uuid();

// This host's name, as gethostname(2) has it.
std::string host_name();

}  // namespace icecore::base
