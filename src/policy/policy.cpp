// SPDX-License-Identifier: Apache-2.0
#include "policy/policy.hpp"

#include <fnmatch.h>

#include <algorithm>

namespace icecore::policy {

bool fits(const std::string& glob, const std::string& name) { return ::fnmatch(glob.c_str(), name.c_str(), 0) == 0; }

namespace {

bool any_fits(const std::vector<std::string>& globs, const std::string& name) {
  return std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) { return fits(glob, name); });
}

}  // namespace

bool matches(const DomainRules& rules, const std::string& domain) {
  return any_fits(rules.include, domain) && !any_fits(rules.exclude, domain);
}

Match matches(const Policy& policy, const std::vector<std::string>& domains) {
  Match match;
  for (const std::string& domain : domains) {
    if (matches(policy.domains, domain)) match.domains.push_back(domain);
  }
  for (const std::string& glob : policy.domains.include) {
    const auto fits_it = [&](const std::string& domain) { return fits(glob, domain); };
    if (std::none_of(domains.begin(), domains.end(), fits_it)) match.unused_include.push_back(glob);
  }
  return match;
}

}  // namespace icecore::policy
