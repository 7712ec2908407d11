// SPDX-License-Identifier: Apache-2.0
// Reads policy files. The reader says what is wrong in words and with the line; the RELAX NG schema
// (policies/policy.rng, built in) has the last word on the form, and both must agree.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "policy/policy.hpp"
#include "policy/xml_tree.hpp"

namespace icecore::policy {

struct CheckedPolicy {
  std::optional<Policy> policy;   // empty when there are problems
  std::vector<Problem> problems;  // by line
};

// Never throws for what the text holds.
CheckedPolicy check_policy(std::string_view text);

// Fault::not_found or denied when the file cannot be read.
CheckedPolicy check_policy_file(const std::filesystem::path& path);

// As check_policy_file(), but problems are Fault::usage: "web.xml:12: <first problem> (and 2 more)".
Policy load_policy(const std::filesystem::path& path);

// The schema as shipped in policies/policy.rng.
std::string_view policy_schema() noexcept;

}  // namespace icecore::policy
