// SPDX-License-Identifier: Apache-2.0
#include "policy/forget_plan.hpp"

#include <algorithm>
#include <map>

#include "base/error.hpp"
#include "base/id.hpp"

namespace icecore::policy {

namespace {

using base::Fault;
using repository::Manifest;

constexpr std::size_t k_prefix_min = 4;

void mark_good(const Stock& stock, DomainPlan& domain, base::Timestamp now) {
  const auto mark = [&](base::Timestamp until) {
    bool any = false;
    for (PlannedPoint& planned : domain.points) {
      planned.good = planned.point->time <= until && !stock.damaged.contains(planned.point->id);
      any |= planned.good;
    }
    return any;
  };
  if (!mark(now + k_clock_tolerance)) mark(base::Timestamp::max());
}

// By UUID, each oldest first; in the order of names.
std::vector<DomainPlan> group(const Stock& stock, base::Timestamp now) {
  std::map<std::string, DomainPlan> by_uuid;
  for (const Manifest& point : stock.points) {
    DomainPlan& domain = by_uuid[point.domain_uuid];
    domain.uuid = point.domain_uuid;
    domain.points.push_back({.point = &point, .verdict = {}});
  }
  std::vector<DomainPlan> domains;
  for (auto& [uuid, domain] : by_uuid) {
    std::stable_sort(domain.points.begin(), domain.points.end(),
                     [](const PlannedPoint& a, const PlannedPoint& b) { return a.point->time < b.point->time; });
    domain.name = domain.points.back().point->domain_name;
    mark_good(stock, domain, now);
    domains.push_back(std::move(domain));
  }
  std::stable_sort(domains.begin(), domains.end(),
                   [](const DomainPlan& a, const DomainPlan& b) { return a.name < b.name; });
  return domains;
}

void judge(const Stock& stock, const Retention& retention, DomainPlan& domain, base::Timestamp now) {
  std::vector<RetentionPoint> points;
  for (const PlannedPoint& planned : domain.points) {
    const std::string& id = planned.point->id;
    points.push_back({.id = id,
                      .time = planned.point->time,
                      .whole = !stock.damaged.contains(id),
                      .is_protected = stock.protections.contains(id)});
  }
  const std::vector<Verdict> verdicts = apply(retention, points, now);
  for (std::size_t i = 0; i < verdicts.size(); ++i) domain.points[i].verdict = verdicts[i];
}

const Manifest& find_by_id(const Stock& stock, const std::string& prefix) {
  const bool digits = prefix.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!digits || prefix.size() < k_prefix_min) {
    throw base::Error(Fault::usage,
                      "'" + prefix + "' is no id of a restore point, nor the first 4 digits or more of one")
        .add_hint("icecore list");
  }
  const Manifest* found = nullptr;
  for (const Manifest& point : stock.points) {
    if (!point.id.starts_with(prefix)) continue;
    if (found != nullptr) base::fail(Fault::usage, "'{}' fits several restore points; give more digits", prefix);
    found = &point;
  }
  if (found != nullptr) return *found;
  throw base::Error(Fault::not_found, "there is no restore point '" + prefix + "'").add_hint("icecore list");
}

void refuse_protected(const Stock& stock, const Manifest& point) {
  const auto protection = stock.protections.find(point.id);
  if (protection == stock.protections.end()) return;
  const std::string& reason = protection->second.reason;
  throw base::Error(Fault::conflict, fmt::format("restore point {} of '{}' is protected{}", base::short_id(point.id),
                                                 point.domain_name, reason.empty() ? "" : ": " + reason))
      .add_hint("icecore unprotect " + base::short_id(point.id));
}

void refuse_last(const DomainPlan& domain) {
  const auto good = [](const PlannedPoint& planned) { return planned.good; };
  const auto stays = [](const PlannedPoint& planned) { return planned.good && planned.verdict.keep(); };
  const auto any = [&](const auto& fits) { return std::any_of(domain.points.begin(), domain.points.end(), fits); };
  if (!any(good) || any(stays)) return;
  throw base::Error(Fault::conflict, fmt::format("that would leave '{}' without a whole restore point", domain.name))
      .add_hint("add --even-last if nobody needs it any more");
}

}  // namespace

std::vector<DomainPlan> plan_forget(const Stock& stock, const Retention& retention, const DomainFilter& filter,
                                    base::Timestamp now) {
  std::vector<DomainPlan> plan;
  for (DomainPlan& domain : group(stock, now)) {
    if (!filter(domain.name, domain.uuid)) continue;
    judge(stock, retention, domain, now);
    plan.push_back(std::move(domain));
  }
  return plan;
}

std::vector<DomainPlan> plan_forget_named(const Stock& stock, const std::vector<std::string>& names, bool even_last,
                                          base::Timestamp now) {
  std::set<const Manifest*> named;
  for (const std::string& name : names) {
    const Manifest& point = find_by_id(stock, name);
    refuse_protected(stock, point);
    named.insert(&point);
  }
  std::vector<DomainPlan> plan;
  for (DomainPlan& domain : group(stock, now)) {
    bool touched = false;
    for (PlannedPoint& planned : domain.points) {
      const bool forget = named.contains(planned.point);
      touched |= forget;
      if (!forget) planned.verdict.reasons.emplace_back("not named");
    }
    if (!touched) continue;
    if (!even_last) refuse_last(domain);
    plan.push_back(std::move(domain));
  }
  return plan;
}

}  // namespace icecore::policy
