// SPDX-License-Identifier: Apache-2.0
// How long a guest is frozen by a backup, beside a bare freeze and thaw of the same idle guest in the same run, and
// what of the window is neither libvirt's nor the agent's; then by way of staging, with the remote there and away.
// Prints medians; see README.md here.
#include <fmt/core.h>
#include <libvirt/libvirt.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "benchmarks/median.hpp"
#include "rig/guest.hpp"
#include "rig/icecore_run.hpp"
#include "rig/requirements.hpp"
#include "rig/test_domain.hpp"

namespace icecore {

namespace {

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

std::vector<std::string> options_for(const std::string& folder, const std::string& repository) {
  return {"--repository", folder + "/" + repository, "--key-file", folder + "/key", "--state-dir", folder + "/state"};
}

void init(const std::vector<std::string>& common) {
  std::vector<std::string> arguments = {"init"};
  arguments.insert(arguments.end(), common.begin(), common.end());
  rig::icecore(arguments);
}

// A staged backup with its remote, and one without it, of the same guest in turns.
class StagedWindows {
 public:
  explicit StagedWindows(const rig::TestDomain& domain)
      : domain_(domain), common_(options_for(domain.folder().string(), "remote")) {
    init(common_);
    for (const std::string& word : {std::string("--staging-dir"), domain.folder().string() + "/staging"})
      common_.push_back(word);
    static_cast<void>(backup_window(domain_, common_));
  }

  void take_one_of_each() {
    there_.push_back(backup_window(domain_, common_).frozen_ms);
    const std::filesystem::path remote = domain_.folder() / "remote";
    std::filesystem::rename(remote, domain_.folder() / "away");
    std::vector<std::string> arguments = common_;
    arguments.push_back("--no-wait");
    away_.push_back(backup_window(domain_, arguments).frozen_ms);
    std::filesystem::rename(domain_.folder() / "away", remote);
  }

  void print() const {
    fmt::print("| frozen, staged, remote there | {:.0f} |\n", median(there_));
    fmt::print("| frozen, staged, remote away (target: within 5 %) | {:.0f} |\n", median(away_));
  }

 private:
  const rig::TestDomain& domain_;
  std::vector<std::string> common_;
  std::vector<double> there_;
  std::vector<double> away_;
};

void run(int rounds) {
  rig::DomainOptions options;
  options.disks = {{.image = {.file_system = true}}};
  rig::TestDomain domain(options);
  const std::vector<std::string> common = options_for(domain.folder().string(), "repository");
  init(common);
  domain.start();
  rig::Guest(domain).wait_agent();
  StagedWindows staged(domain);
  std::vector<double> bare;
  std::vector<double> frozen;
  std::vector<double> snapshot;
  for (int round = 0; round < rounds; ++round) {
    bare.push_back(bare_freeze_ms(domain.handle()));
    const Window window = backup_window(domain, common);
    frozen.push_back(window.frozen_ms);
    snapshot.push_back(window.snapshot_ms);
    staged.take_one_of_each();
  }
  fmt::print("| medians of {} rounds, ms | |\n|---|---:|\n", rounds);
  fmt::print("| bare freeze + thaw, idle guest | {:.0f} |\n", median(bare));
  fmt::print("| frozen by a backup | {:.0f} |\n", median(frozen));
  fmt::print("| of it libvirt's snapshot call | {:.0f} |\n", median(snapshot));
  fmt::print("| over the bare freeze (target: 150) | {:.0f} |\n", median(frozen) - median(bare));
  fmt::print("| icecore's own (target: 50) | {:.0f} |\n", median(frozen) - median(bare) - median(snapshot));
  staged.print();
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
