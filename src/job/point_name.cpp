// SPDX-License-Identifier: Apache-2.0
#include "job/point_name.hpp"

#include <algorithm>
#include <functional>

#include "base/clock.hpp"
#include "base/error.hpp"

namespace icecore::job {

using base::Fault;
using repository::Manifest;

namespace {

constexpr std::size_t k_prefix_min = 4;

[[noreturn]] void fail_not_found(const std::string& name) {
  base::Error error(Fault::not_found, "there is no restore point '" + name + "' in the repository");
  throw error.add_hint("`icecore list` shows the points it has");
}

const Manifest* newest(const std::vector<Manifest>& points, const std::function<bool(const Manifest&)>& fits) {
  const Manifest* best = nullptr;
  for (const Manifest& point : points) {
    if (fits(point) && (best == nullptr || point.time > best->time)) best = &point;
  }
  return best;
}

const Manifest* by_prefix(const std::vector<Manifest>& points, const std::string& prefix) {
  const Manifest* found = nullptr;
  for (const Manifest& point : points) {
    if (!point.id.starts_with(prefix)) continue;
    if (found != nullptr) {
      base::fail(Fault::usage, "'{}' fits several restore points ({} and {} among them); give more digits", prefix,
                 found->id.substr(0, 12), point.id.substr(0, 12));
    }
    found = &point;
  }
  return found;
}

const Manifest* by_domain_and_time(const std::vector<Manifest>& points, const std::string& name) {
  const auto at = name.rfind('@');
  if (at == std::string::npos) return nullptr;
  const base::Timestamp until = base::parse_time_end(name.substr(at + 1));
  return newest(points,
                [&](const Manifest& point) { return point.domain_name == name.substr(0, at) && point.time <= until; });
}

bool is_hex_prefix(const std::string& name) {
  return name.size() >= k_prefix_min && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

const Manifest& find_point(const std::vector<Manifest>& points, const std::string& name) {
  const Manifest* found = nullptr;
  if (name == "latest") found = newest(points, [](const Manifest&) { return true; });
  if (found == nullptr) found = newest(points, [&](const Manifest& point) { return point.domain_name == name; });
  if (found == nullptr && is_hex_prefix(name)) found = by_prefix(points, name);
  if (found == nullptr) found = by_domain_and_time(points, name);
  if (found == nullptr) fail_not_found(name);
  return *found;
}

}  // namespace icecore::job
