// SPDX-License-Identifier: Apache-2.0
// Random names and this host's own: what makes ids unique across hosts and runs.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace icecore::base {

// `bytes` random bytes from the kernel as lower-case hex (two digits a byte).
std::string random_id(std::size_t bytes);

// A random (version 4) UUID in its usual form.
std::string random_uuid();

// The first eight digits: how points, repositories, keys and jobs are shown to people, who may name them so.
inline std::string short_id(std::string_view id) { return std::string(id.substr(0, 8)); }

// This host's name, as gethostname(2) has it.
std::string host_name();

}  // namespace icecore::base
