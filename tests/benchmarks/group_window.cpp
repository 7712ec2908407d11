// SPDX-License-Identifier: Apache-2.0
// How far apart the snapshots of a group of three guests are, and how long all of them stand frozen. Prints medians and
// the worst; see README.md here.
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <vector>

#include "base/error.hpp"
#include "benchmarks/median.hpp"
#include "rig/guest.hpp"
#include "rig/icecore_run.hpp"
#include "rig/test_domain.hpp"

namespace icecore {

namespace {

constexpr int k_guests = 3;

base::Json icecore(const std::filesystem::path& folder, std::vector<std::string> arguments) {
  for (const std::string& word :
       {std::string("--repository"), (folder / "repository").string(), std::string("--key-file"),
        (folder / "key").string(), std::string("--state-dir"), (folder / "state").string(), std::string("--json")})
    arguments.push_back(word);
  const rig::IcecoreOutcome outcome = rig::icecore(arguments);
  if (outcome.exit_code != 0) base::fail(base::Fault::internal, "{}: {}", arguments[0], outcome.error_output);
  return outcome.json();
}

void print(const char* what, const std::vector<double>& values) {
  fmt::print("| {} | {:.0f} | {:.0f} |\n", what, median(values), *std::max_element(values.begin(), values.end()));
}

void run(int rounds) {
  std::deque<rig::TestDomain> domains;
  std::vector<std::string> words = {"backup", "--group", "--quiesce=required"};
  for (int i = 0; i < k_guests; ++i) {
    words.push_back(domains.emplace_back(rig::DomainOptions{.disks = {{.image = {.file_system = true}}}}).name());
    domains.back().start();
  }
  for (rig::TestDomain& domain : domains) rig::Guest(domain).wait_agent();
  const std::filesystem::path folder = domains.front().folder();
  icecore(folder, {"init"});
  std::vector<double> spread;
  std::vector<double> frozen;
  for (int round = 0; round < rounds; ++round) {
    const base::Json results = icecore(folder, words).at("results");
    spread.push_back(results[0].at("point").at("group").at("spread_ms").get<double>());
    for (const base::Json& result : results) frozen.push_back(result.at("point").at("freeze_ms").get<double>());
  }
  fmt::print("| group of {} | median ms | worst |\n| --- | ---: | ---: |\n", k_guests);
  print("first snapshot call's begin to the last one's end (target: 100)", spread);
  print("each guest frozen (target: 500)", frozen);
}

}  // namespace
}  // namespace icecore

int main(int argc, char** argv) {
  try {
    icecore::run(argc > 1 ? std::atoi(argv[1]) : 5);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "group_window: {}\n", error.what());
    return 1;
  }
}
