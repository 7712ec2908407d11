// SPDX-License-Identifier: Apache-2.0
// One name for one place: what a host remembers about a repository, and its spool, must be found again however the URL
// was typed.
#pragma once

#include <string>

namespace icecore::storage {

// The URL with everything in it that is otherwise left to defaults and ~/.ssh/config (user, a port other than 22), and
// nothing that changes nothing ("//", "/./", "/" at the end, file://). It means the same place when it is typed. One
// that open_storage() refuses comes back as it is.
std::string canonical_url(const std::string& url);

}  // namespace icecore::storage
