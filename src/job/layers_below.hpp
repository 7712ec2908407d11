// SPDX-License-Identifier: Apache-2.0
// A hypervisor::ChainReader for images at rest.
#pragma once

#include <string>
#include <vector>

namespace icecore::job {

// The images below an image, top first, as far as they can be read: a broken one must not stand in the way of what may
// cure it. Fault::cancelled is thrown all the same.
std::vector<std::string> layers_below(const std::string& path, const std::string& format);

}  // namespace icecore::job
