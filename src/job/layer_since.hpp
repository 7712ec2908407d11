// SPDX-License-Identifier: Apache-2.0
// What doctor and explain say of a kept layer, in the same words.
#pragma once

#include <filesystem>
#include <string>

namespace icecore::job {

// Since when and how large a kept layer is, for people: "1.2 GiB since 2026-11-21T09:30:00Z". The time is that of its
// file's birth, where the file system tells it. Faults as inspect_image().
std::string describe_layer(const std::filesystem::path& layer);

}  // namespace icecore::job
