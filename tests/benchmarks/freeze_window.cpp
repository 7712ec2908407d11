// SPDX-License-Identifier: Apache-2.0
// How long a guest is frozen by a backup, beside a bare freeze and thaw of the same idle guest in the same run, and
// what of the window is neither libvirt's nor the agent's. Prints medians; see README.md here.
#include <fmt/core.h>
#include <libvirt/libvirt.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "rig/guest.hpp"
#include "rig/icecore_run.hpp"
#include "rig/requirements.hpp"
#include "rig/test_domain.hpp"

namespace icecore {

namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.at(values.size() / 2);
}

double bare_freeze_ms(virDomainPtr domain) {
  const base::Stopwatch watch;
  const int frozen = virDomainFSFreeze(domain, nullptr, 0, 0);
  const int thawed = virDomainFSThaw(domain, nullptr, 0, 0);
  if (frozen < 0 || thawed < 0) base::fail(base::Fault::unavailable, "freeze or thaw failed");
  return static_cast<double>(watch.elapsed().count());
}

struct Window {
  double frozen_ms = 0;
  double snapshot_ms = 0;
};

Window backup_window(const rig::TestDomain& domain, const std::vector<std::string>& common) {
  std::vector<std::string> arguments = {"backup", domain.name(), "--quiesce=required", "--json"};
  arguments.insert(arguments.end(), common.begin(), common.end());
  const base::Json point = rig::icecore(arguments).json().at("results")[0].at("point");
  return {point.at("freeze_ms").get<double>(), point.at("snapshot_ms").get<double>()};
}

void run(int rounds) {
  rig::DomainOptions options;
  options.disks = {{.image = {.file_system = true}}};
  rig::TestDomain domain(options);
  const std::string folder = domain.folder().string();
  const std::vector<std::string> common = {"--repository",  folder + "/repository", "--key-file",
                                           folder + "/key", "--state-dir",          folder + "/state"};
  std::vector<std::string> init = {"init"};
  init.insert(init.end(), common.begin(), common.end());
  rig::icecore(init);
  domain.start();
  rig::Guest(domain).wait_agent();
  std::vector<double> bare;
  std::vector<double> frozen;
  std::vector<double> snapshot;
  for (int round = 0; round < rounds; ++round) {
    bare.push_back(bare_freeze_ms(domain.handle()));
    const Window window = backup_window(domain, common);
    frozen.push_back(window.frozen_ms);
    snapshot.push_back(window.snapshot_ms);
  }
  fmt::print("| medians of {} rounds, ms | |\n|---|---:|\n", rounds);
  fmt::print("| bare freeze + thaw, idle guest | {:.0f} |\n", median(bare));
  fmt::print("| frozen by a backup | {:.0f} |\n", median(frozen));
  fmt::print("| of it libvirt's snapshot call | {:.0f} |\n", median(snapshot));
  fmt::print("| over the bare freeze (target: 150) | {:.0f} |\n", median(frozen) - median(bare));
  fmt::print("| icecore's own (target: 50) | {:.0f} |\n", median(frozen) - median(bare) - median(snapshot));
}

}  // namespace

void measure_window(int rounds) { run(rounds); }

}  // namespace icecore

int main(int argc, char** argv) {
  try {
    if (const auto missing = icecore::rig::missing_part({"root", "libvirt", "guest", "icecore"})) {
      fmt::print(stderr, "{}\n", missing->reason);
      return 77;
    }
    icecore::measure_window(argc > 1 ? std::atoi(argv[1]) : 9);
    return 0;
  } catch (const icecore::base::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
