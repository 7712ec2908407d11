// SPDX-License-Identifier: Apache-2.0
// A domain may be started or stopped at any moment of a merge: then it is looked at again, and done the other way.
#pragma once

#include <functional>
#include <stop_token>
#include <string_view>

#include "hypervisor/connection.hpp"

namespace icecore::job {

// Calls `round` until it returns true. Fault::conflict when it does not for so long that it is no accident any more;
// `images` says what is merged: "overlays".
void merge_in_rounds(std::string_view images, const std::function<bool()>& round);

// Calls `merge`. False, after half a second, when it threw Fault::busy: a domain has the files open, so look again.
bool merge_unless_in_use(hypervisor::Connection& connection, const std::function<void()>& merge, std::stop_token stop);

}  // namespace icecore::job
