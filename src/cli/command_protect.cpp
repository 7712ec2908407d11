// SPDX-License-Identifier: Apache-2.0
// `icecore protect` and `icecore unprotect`: a restore point that no rule and no `forget` removes.
#include <fmt/core.h>

#include "base/error.hpp"
#include "base/id.hpp"
#include "cli/commands.hpp"
#include "cli/point_output.hpp"
#include "cli/readable_points.hpp"
#include "repository/repository_lock.hpp"

namespace icecore::cli {

namespace {

struct ProtectOptions {
  std::string point;
  std::string reason;
  bool remove = false;
};

constexpr std::size_t k_reason_letters_max = 1000;

void declare_unprotect(WordList& words, ProtectOptions& options) {
  options.remove = true;
  words.positional("POINT", "id prefix, latest, DOMAIN or DOMAIN@TIME", Count::one, WordList::into(options.point));
}

void declare_protect(WordList& words, ProtectOptions& options) {
  words.positional("POINT", "id prefix, latest, DOMAIN or DOMAIN@TIME", Count::one, WordList::into(options.point));
  words.option("--reason", "TEXT", "why, shown by `list`, `show` and `forget`", WordList::into(options.reason));
  words.flag("--remove", "take the protection away, as `icecore unprotect` does", options.remove);
}

void check_still_there(repository::Repository& repository, const repository::Manifest& point) {
  if (repository.storage().exists(manifest_object(point))) return;
  unprotect(repository, point.id);
  throw base::Error(base::Fault::not_found, fmt::format("restore point {} was removed meanwhile", short_id(point.id)))
      .add_hint("icecore list");
}

bool add_protection(repository::Repository& repository, const repository::Manifest& point, const std::string& reason) {
  if (reason.size() > k_reason_letters_max) {
    base::fail(base::Fault::usage, "the reason is longer than {} bytes", k_reason_letters_max);
  }
  const bool fresh =
      protect(repository, {.point = point.id, .reason = reason, .created = base::now(), .host = base::host_name()});
  // A `forget` running beside us has looked before it saw our object, or leaves the point alone.
  check_still_there(repository, point);
  return fresh;
}

std::string sentence(bool wanted, bool changed) {
  if (wanted) return changed ? "is protected now" : "was protected already; its first reason stays";
  return changed ? "is no longer protected" : "was not protected";
}

ExitCode run(Session& session, const ProtectOptions& options) {
  const OpenRepository open = open_directly(session);
  repository::Repository& repository = *open.repository;
  const repository::RepositoryLock lock(repository, repository::LockMode::shared, "protect");
  const ReadablePoints points = read_points(session.console, repository);
  const repository::Manifest& point = find_point(points, options.point);
  const bool wanted = !options.remove;
  const bool changed = wanted ? add_protection(repository, point, options.reason) : unprotect(repository, point.id);
  if (session.options.json) {
    session.console.print_json({{"point", point.id}, {"protected", wanted}, {"changed", changed}});
  } else {
    session.console.print(fmt::format("restore point {} of '{}' ({}) {}", short_id(point.id), point.domain_name,
                                      point_time(point.time), sentence(wanted, changed)));
  }
  return ExitCode::ok;
}

std::vector<JsonField> json_fields() {
  return {{"point", "its id"}, {"protected", "whether it is now"}, {"changed", "false: it was so before"}};
}

}  // namespace

Command make_protect_command() {
  return make_command<ProtectOptions>(
      {.name = "protect",
       .summary = "Keep a restore point whatever the retention rules say",
       .description =
           "Marks a restore point in the repository, for all hosts: `icecore forget` neither removes it by a "
           "rule nor by name until the protection is taken away. Whoever can write to the storage can still "
           "delete anything there; this keeps from mistakes.",
       .examples = {{"icecore protect web1@2026-11-21 --reason pre-upgrade", "that day's newest of web1"},
                    {"icecore protect 3f2a9c1e --remove", "takes it away again"}},
       .json = json_fields()},
      declare_protect, run);
}

Command make_unprotect_command() {
  return make_command<ProtectOptions>(
      {.name = "unprotect",
       .summary = "Take the protection of a restore point away",
       .description = "From then on retention rules and `icecore forget` treat the point like any other. Nothing is "
                      "removed by this.",
       .examples = {{"icecore unprotect 3f2a9c1e", "one point"}},
       .json = json_fields()},
      declare_unprotect, run);
}

}  // namespace icecore::cli
