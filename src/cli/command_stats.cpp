// SPDX-License-Identifier: Apache-2.0
// `icecore stats`.
#include <fmt/core.h>

#include "base/bytes.hpp"
#include "base/handle.hpp"
#include "cli/commands.hpp"
#include "cli/maintenance_session.hpp"
#include "cli/table.hpp"
#include "maintenance/stats.hpp"

namespace icecore::cli {

namespace {

using maintenance::Amounts;
using maintenance::RepositoryStats;

struct StatsOptions {};

void declare(WordList&, StatsOptions&) {}

base::Json record_of(const Amounts& amounts) {
  return {{"points", amounts.points},
          {"logical_bytes", amounts.logical_bytes},
          {"unique_bytes", amounts.unique_bytes},
          {"stored_bytes", amounts.stored_bytes},
          {"dedup_ratio", amounts.dedup_ratio()},
          {"compression_ratio", amounts.compression_ratio()}};
}

base::Json record_of(const RepositoryStats& stats) {
  base::Json domains = base::Json::array();
  for (const maintenance::DomainStats& domain : stats.domains) {
    base::Json record = record_of(domain.amounts);
    record["domain"] = domain.name;
    record["domain_uuid"] = domain.uuid;
    record["own_bytes"] = domain.own_bytes;
    domains.push_back(std::move(record));
  }
  return {{"domains", domains},
          {"total", record_of(stats.total)},
          {"packs", stats.packs},
          {"pack_bytes", stats.pack_bytes}};
}

std::vector<std::string> row_of(const std::string& name, const Amounts& amounts, const std::string& own) {
  return {name,
          fmt::format("{}", amounts.points),
          base::format_size(amounts.logical_bytes),
          base::format_size(amounts.unique_bytes),
          base::format_size(amounts.stored_bytes),
          fmt::format("{:.1f}", amounts.dedup_ratio()),
          fmt::format("{:.1f}", amounts.compression_ratio()),
          own};
}

void print_stats(Console& console, const RepositoryStats& stats) {
  std::vector<std::vector<std::string>> rows;
  for (const maintenance::DomainStats& domain : stats.domains) {
    rows.push_back(row_of(domain.name, domain.amounts, base::format_size(domain.own_bytes)));
  }
  rows.push_back(row_of("(all)", stats.total, ""));
  console.out << format_table({{"DOMAIN"},
                               {"POINTS", Align::right},
                               {"LOGICAL", Align::right},
                               {"UNIQUE", Align::right},
                               {"STORED", Align::right},
                               {"DEDUP", Align::right},
                               {"COMPRESSION", Align::right},
                               {"ONLY HERE", Align::right}},
                              rows);
  console.print(fmt::format("{} packs of {}", stats.packs, base::format_size(stats.pack_bytes)));
}

ExitCode run(Session& session, const StatsOptions&) {
  JobSession jobs(session);
  const OpenRepository open = open_directly(session, jobs.stop());
  const RepositoryStats stats = [&] {
    const base::ScopeExit clear([&] { jobs.progress().clear(); });
    return maintenance::collect_stats(*open.repository, make_watch(jobs));
  }();
  if (session.options.json) {
    session.console.print_json(record_of(stats));
  } else {
    print_stats(session.console, stats);
  }
  return ExitCode::ok;
}

}  // namespace

Command make_stats_command() {
  return make_command<StatsOptions>(
      {.name = "stats",
       .summary = "Show what deduplication and compression save",
       .description =
           "Adds up, for each domain and in total, how large its restore points are (LOGICAL: the allocated bytes of "
           "all "
           "disks of all points), how much of that is distinct (UNIQUE), and what it takes compressed (STORED). ONLY "
           "HERE "
           "is stored for no other domain: what forgetting all its points and a prune would free. Reads no data.",
       .examples = {{"icecore stats", "a line for each domain"}, {"icecore stats --json", "for programs"}},
       .json = {{"domains[].domain, domain_uuid", "whose"},
                {"domains[].points", "restore points"},
                {"domains[].logical_bytes, unique_bytes, stored_bytes", "allocated, distinct, and as stored"},
                {"domains[].dedup_ratio, compression_ratio", "logical to unique, unique to stored"},
                {"domains[].own_bytes", "stored for no other domain"},
                {"total", "the same of all domains; what they share counts once"},
                {"packs, pack_bytes", "all packs, with what a prune would free"}}},
      declare, run);
}

}  // namespace icecore::cli
