// SPDX-License-Identifier: Apache-2.0
// `icecore forget`: removes restore points that retention rules do not keep, or those named.
#include <fmt/core.h>

#include <algorithm>

#include "base/error.hpp"
#include "cli/commands.hpp"
#include "cli/job_session.hpp"
#include "cli/point_output.hpp"
#include "cli/policy_repository.hpp"
#include "cli/table.hpp"
#include "maintenance/survey.hpp"
#include "policy/forget_plan.hpp"
#include "policy/policy_file.hpp"
#include "repository/damage_mark.hpp"
#include "repository/repository_lock.hpp"

namespace icecore::cli {

namespace {

using base::Fault;
using policy::DomainPlan;
using policy::PlannedPoint;

struct ForgetOptions {
  std::vector<std::string> points;
  std::vector<std::string> domains;
  std::optional<std::filesystem::path> policy_file;
  policy::Retention retention;
  bool dry_run = false;
  bool even_last = false;
  bool even_unreadable = false;
};

Setter count_into(unsigned& target) {
  return [&target](const std::string& value) {
    int count = 0;
    WordList::whole_number(count, 1, 100'000)(value);
    target = static_cast<unsigned>(count);
  };
}

void declare(WordList& words, ForgetOptions& options) {
  policy::Retention& keep = options.retention;
  words.positional("POINT", "ids of the points to remove, or their first digits; not together with rules", Count::any,
                   WordList::into(options.points));
  words.repeatable("--domain", "NAME", "only domains of this name, glob or UUID; may be given several times",
                   WordList::into(options.domains));
  words.option("--keep-last", "N", "keep the newest N", count_into(keep.keep_last));
  words.option("--keep-hourly", "N", "keep the newest of each of the newest N hours with a point",
               count_into(keep.keep_hourly));
  words.option("--keep-daily", "N", "the same for days (UTC)", count_into(keep.keep_daily));
  words.option("--keep-weekly", "N", "for weeks, from Monday", count_into(keep.keep_weekly));
  words.option("--keep-monthly", "N", "for months", count_into(keep.keep_monthly));
  words.option("--keep-yearly", "N", "for years", count_into(keep.keep_yearly));
  words.option("--keep-within", "SPAN", "keep all of this long before the domain's newest: 36h, 14d, 6w, 3m, 1y",
               [&keep](const std::string& value) { keep.keep_within = policy::parse_span(value); });
  words.option("--policy", "FILE", "the rules, domains and repository of a policy file",
               WordList::into(options.policy_file));
  words.flag("--dry-run", "remove nothing, show why each point would stay", options.dry_run);
  words.flag("--even-last", "let the named points be the last whole ones of their domain", options.even_last);
  words.flag("--even-unreadable", "let the named points be ones that cannot be read: nobody can tell what they held",
             options.even_unreadable);
}

// What to do, from the command line or the policy.
struct Task {
  policy::Retention retention;
  policy::DomainFilter filter;
};

policy::DomainFilter filter_by(const std::vector<std::string>& globs) {
  return [globs](const std::string& name, const std::string& uuid) {
    const auto means = [&](const std::string& glob) { return policy::fits(glob, name) || glob == uuid; };
    return globs.empty() || std::any_of(globs.begin(), globs.end(), means);
  };
}

void check_options(const ForgetOptions& options) {
  const bool rules = any_rule(options.retention) || options.policy_file.has_value();
  const auto refuse = [](const std::string& text) {
    throw base::Error(Fault::usage, text).add_hint("icecore forget --help");
  };
  if (!rules && options.points.empty()) refuse("no rule and no restore point is named: nothing is removed");
  if (!options.points.empty() && (rules || !options.domains.empty())) {
    refuse("restore points are named, so rules and --domain have nothing to choose from");
  }
  if (options.policy_file && (any_rule(options.retention) || !options.domains.empty())) {
    refuse("--policy brings its own rules and domains");
  }
  if (options.even_last && options.points.empty()) refuse("--even-last needs the points by name");
  if (options.even_unreadable && options.points.empty()) refuse("--even-unreadable needs the points by name");
}

Task task_of(const ForgetOptions& options, const std::optional<policy::Policy>& policy) {
  if (!policy) return {options.retention, filter_by(options.domains)};
  if (!any_rule(policy->retention)) {
    base::fail(Fault::usage, "policy '{}' has no retention rule: nothing is removed", policy->name);
  }
  const policy::DomainRules& rules = policy->domains;
  return {policy->retention, [&rules](const std::string& name, const std::string&) { return matches(rules, name); }};
}

policy::Stock take_stock(repository::Repository& repository, std::vector<repository::DamagedManifest>& unreadable) {
  policy::Stock stock;
  stock.points = repository::list_manifests(repository, {}, &unreadable);
  stock.protections = repository::list_protections(repository);
  stock.damaged = repository::list_damaged_points(repository);
  return stock;
}

struct UnreadablePoint {
  repository::DamagedManifest manifest;
  bool forget = false;  // it was named
};

struct Outcome {
  std::vector<DomainPlan> plan;
  std::vector<UnreadablePoint> unreadable;
  std::vector<std::string> warnings;
  std::uint64_t kept = 0;
  std::uint64_t forgotten = 0;  // or would be
  bool some_stayed = false;     // of those that should go
};

[[noreturn]] void refuse_unreadable(const repository::DamagedManifest& manifest) {
  base::Error error(manifest.newer ? Fault::usage : Fault::corrupt,
                    fmt::format("'{}' cannot be read: {}", manifest.object, manifest.reason));
  if (manifest.newer) throw error.add_hint("forget it with the icecore that made it, or a newer one");
  throw error.add_hint(maintenance::way_out_for_unreadable(manifest.object));
}

bool is_named(const repository::DamagedManifest& manifest, const std::string& name) {
  constexpr std::size_t k_prefix_min = 4;
  return name == manifest.object ||
         (name.size() >= k_prefix_min && repository::point_of_manifest(manifest.object).starts_with(name));
}

// Notes which unreadable points are named, and returns the other names.
std::vector<std::string> choose_unreadable(Outcome& outcome, const policy::Stock& stock, const ForgetOptions& options) {
  std::vector<std::string> others;
  for (const std::string& name : options.points) {
    auto fits = static_cast<std::size_t>(
        std::count_if(stock.points.begin(), stock.points.end(),
                      [&](const repository::Manifest& point) { return point.id.starts_with(name); }));
    UnreadablePoint* unreadable = nullptr;
    for (UnreadablePoint& point : outcome.unreadable) {
      if (!is_named(point.manifest, name)) continue;
      unreadable = &point;
      ++fits;
    }
    if (unreadable == nullptr) {
      others.push_back(name);
      continue;
    }
    if (fits > 1) base::fail(Fault::usage, "'{}' fits several restore points; give more digits", name);
    if (!options.even_unreadable || unreadable->manifest.newer) refuse_unreadable(unreadable->manifest);
    unreadable->forget = true;
  }
  return others;
}

void forget_unreadable(repository::Repository& repository, Outcome& outcome, bool dry_run) {
  for (UnreadablePoint& point : outcome.unreadable) {
    if (!point.forget) {
      outcome.warnings.push_back(
          fmt::format("'{}' cannot be read and is left alone: {}", point.manifest.object, point.manifest.reason));
    } else if (dry_run || remove_unreadable(repository, point.manifest)) {
      ++outcome.forgotten;
    } else {
      point.forget = false;
      outcome.some_stayed = true;
      outcome.warnings.push_back(fmt::format("'{}' stays: it is protected", point.manifest.object));
    }
  }
}

void warn_of_future(Outcome& outcome) {
  for (const DomainPlan& domain : outcome.plan) {
    for (const PlannedPoint& planned : domain.points) {
      if (!planned.verdict.from_the_future) continue;
      outcome.warnings.push_back(
          fmt::format("point {} of '{}' is of {}, later than now: a clock was wrong; it is kept and no rule counts it",
                      short_id(planned.point->id), domain.name, point_time(planned.point->time)));
    }
  }
}

// Oldest first: interrupted, it has removed what any later run would remove too. False: asked to stop.
bool forget_points(repository::Repository& repository, DomainPlan& domain, const std::stop_token& stop) {
  for (PlannedPoint& planned : domain.points) {
    if (planned.verdict.keep()) continue;
    if (stop.stop_requested()) return false;
    if (remove_point(repository, *planned.point)) {
      planned.gone = true;
    } else {
      planned.stays = "protected meanwhile";
    }
  }
  return true;
}

// Two of us at once may each have counted on the points the other removed.
void keep_one(repository::Repository& repository, DomainPlan& domain) {
  std::vector<const repository::Manifest*> others;
  PlannedPoint* newest_gone = nullptr;
  for (PlannedPoint& planned : domain.points) {
    if (!planned.good) continue;
    if (!planned.gone) others.push_back(planned.point);
    if (planned.gone) newest_gone = &planned;
  }
  if (newest_gone == nullptr || leaves_one(repository, others, *newest_gone->point)) return;
  newest_gone->gone = false;
  newest_gone->stays = "the last whole one: somebody removed the others meanwhile";
}

void count(Outcome& outcome, DomainPlan& domain, bool dry_run) {
  for (PlannedPoint& planned : domain.points) {
    const bool goes = planned.gone || (dry_run && !planned.verdict.keep());
    ++(goes ? outcome.forgotten : outcome.kept);
    if (planned.stays.empty()) continue;
    outcome.some_stayed = true;
    outcome.warnings.push_back(
        fmt::format("point {} of '{}' stays: {}", short_id(planned.point->id), domain.name, planned.stays));
    planned.verdict.reasons.push_back(planned.stays);
  }
}

void carry_out(repository::Repository& repository, Outcome& outcome, const ForgetOptions& options,
               const std::stop_token& stop) {
  for (DomainPlan& domain : outcome.plan) {
    const bool done = options.dry_run || forget_points(repository, domain, stop);
    if (!options.dry_run && !options.even_last) keep_one(repository, domain);
    count(outcome, domain, options.dry_run);
    if (!done) base::fail(Fault::cancelled, "stopped after {} points", outcome.forgotten);
  }
}

base::Json record_of(const std::string& url, const Outcome& outcome, bool dry_run) {
  base::Json domains = base::Json::array();
  for (const DomainPlan& domain : outcome.plan) {
    base::Json points = base::Json::array();
    for (const PlannedPoint& planned : domain.points) {
      points.push_back({{"id", planned.point->id},
                        {"time", base::format_time(planned.point->time)},
                        {"action", planned.verdict.keep() ? "keep" : "forget"},
                        {"reasons", planned.verdict.reasons}});
    }
    domains.push_back({{"domain", domain.name}, {"domain_uuid", domain.uuid}, {"points", points}});
  }
  base::Json unreadable = base::Json::array();
  for (const UnreadablePoint& point : outcome.unreadable) {
    unreadable.push_back({{"object", point.manifest.object}, {"action", point.forget ? "forget" : "keep"}});
  }
  return {{"repository", url},           {"dry_run", dry_run},   {"domains", domains},
          {"unreadable", unreadable},    {"kept", outcome.kept}, {"forgotten", outcome.forgotten},
          {"warnings", outcome.warnings}};
}

void print_domain(Console& console, const DomainPlan& domain, bool dry_run) {
  std::vector<std::vector<std::string>> rows;
  for (const PlannedPoint& planned : domain.points) {
    const bool keep = planned.verdict.keep();
    if (keep && !dry_run) continue;
    std::string reasons;
    for (const std::string& reason : planned.verdict.reasons) reasons += (reasons.empty() ? "" : ", ") + reason;
    rows.push_back({short_id(planned.point->id), point_time(planned.point->time), keep ? "keep" : "forget", reasons});
  }
  if (rows.empty()) return;
  console.print(fmt::format("{} ({})", domain.name, domain.uuid));
  console.out << format_table({{"ID"}, {"TIME (UTC)"}, {"ACTION"}, {"BECAUSE"}}, rows) << '\n';
}

void print_outcome(Console& console, const Outcome& outcome, bool dry_run) {
  for (const DomainPlan& domain : outcome.plan) print_domain(console, domain, dry_run);
  for (const UnreadablePoint& point : outcome.unreadable) {
    if (point.forget) console.print(fmt::format("forget '{}', which cannot be read", point.manifest.object));
  }
  console.print(fmt::format("{} {} restore points, {} stay", dry_run ? "would forget" : "forgot", outcome.forgotten,
                            outcome.kept));
  if (outcome.forgotten > 0) console.print("space is given back by `icecore prune`, not by this");
}

ExitCode run(Session& session, const ForgetOptions& options) {
  check_options(options);
  std::optional<policy::Policy> policy;
  if (options.policy_file) policy = policy::load_policy(*options.policy_file);
  const Task task = task_of(options, policy);
  JobSession jobs(session);
  const OpenRepository open =
      policy ? open_policy_directly(session, *policy, jobs.stop()) : open_directly(session, jobs.stop());
  const repository::RepositoryLock lock(*open.repository, repository::LockMode::shared, "forget");
  std::vector<repository::DamagedManifest> unreadable;
  const policy::Stock stock = take_stock(*open.repository, unreadable);
  const base::Timestamp now = base::now();
  Outcome outcome;
  for (repository::DamagedManifest& bad : unreadable) outcome.unreadable.push_back({std::move(bad)});
  const std::vector<std::string> names = choose_unreadable(outcome, stock, options);
  outcome.plan = options.points.empty() ? plan_forget(stock, task.retention, task.filter, now)
                                        : plan_forget_named(stock, names, options.even_last, now);
  forget_unreadable(*open.repository, outcome, options.dry_run);
  warn_of_future(outcome);
  carry_out(*open.repository, outcome, options, jobs.stop());
  for (const std::string& warning : outcome.warnings) session.console.err << "icecore: " << warning << '\n';
  if (session.options.json) {
    session.console.print_json(record_of(open.storage->url(), outcome, options.dry_run));
  } else {
    print_outcome(session.console, outcome, options.dry_run);
  }
  // Rules say what may go; a point by name was meant to.
  return outcome.some_stayed && !options.points.empty() ? ExitCode::conflict : ExitCode::ok;
}

}  // namespace

Command make_forget_command() {
  return make_command<ForgetOptions>(
      {.name = "forget",
       .summary = "Remove old restore points",
       .description =
           "Removes the restore points that no rule keeps, for each domain (UUID) by itself, or those named. A point "
           "that any rule keeps stays. Days, weeks, months and years are those of UTC, as `icecore list` prints them; "
           "the longest rule keeps the oldest point too until it has met all its periods. Whatever the rules, "
           "protected points stay, and the newest whole point of every domain. Points of a time later than now are "
           "kept, "
           "warned of, and counted by no rule; points that have lost blocks are not counted either. Blocks nobody "
           "needs "
           "any more stay in the repository until a prune.",
       .examples = {{"icecore forget --keep-daily 7 --keep-weekly 4 --keep-monthly 12 --dry-run",
                     "shows every point and why it would stay"},
                    {"icecore forget --keep-within 14d --domain 'web*'", "of some domains"},
                    {"icecore forget --policy /etc/icecore/web-servers.xml", "by a policy's <retention>"},
                    {"icecore forget 3f2a9c1e", "one point"},
                    {"icecore forget 3f2a9c1e --even-unreadable", "one that is damaged itself, and stops every prune"}},
       .json = {{"repository", "its URL"},
                {"dry_run", "true: nothing was removed"},
                {"domains[].domain, domain_uuid", "each domain looked at"},
                {"domains[].points[].id, time", "its points, oldest first"},
                {"domains[].points[].action", "keep or forget"},
                {"domains[].points[].reasons[]", "why it stays; empty when it goes"},
                {"unreadable[].object, action", "points that cannot be read: keep or forget"},
                {"kept, forgotten", "how many"},
                {"warnings[]", "points of the future, points that cannot be read"}}},
      declare, run);
}

}  // namespace icecore::cli
