// SPDX-License-Identifier: Apache-2.0
// What `forget` would do: every point of the domains meant, with the reasons it stays for or without any. A pure
// function; carrying it out is the caller's part.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "policy/retention.hpp"
#include "repository/protection.hpp"

namespace icecore::policy {

// What the repository holds.
struct Stock {
  std::vector<repository::Manifest> points;
  repository::Protections protections;
  std::set<std::string> damaged;  // ids of points known to have lost blocks
};

struct PlannedPoint {
  const repository::Manifest* point;  // into the stock
  Verdict verdict;
  // May be the last good one of its domain: whole, and of the past; of the future only where none is of the past.
  bool good = false;
  // What became of it, for who carries the plan out.
  bool gone = false;
  std::string stays;  // why, though it was to go
};

// The points of one domain: one UUID. Names change; this is the newest point's.
struct DomainPlan {
  std::string name;
  std::string uuid;
  std::vector<PlannedPoint> points;  // oldest first
};

using DomainFilter = std::function<bool(const std::string& name, const std::string& uuid)>;

// By the rules. `stock` outlives the plan.
std::vector<DomainPlan> plan_forget(const Stock& stock, const Retention& retention, const DomainFilter& filter,
                                    base::Timestamp now);

// The named points (beginnings of ids, 4 digits or more) and nothing else. Fault::not_found or usage for a name that
// fits none or several; Fault::conflict for a protected point, and when a domain would be left without a whole
// point, unless `even_last`.
std::vector<DomainPlan> plan_forget_named(const Stock& stock, const std::vector<std::string>& names, bool even_last,
                                          base::Timestamp now);

}  // namespace icecore::policy
