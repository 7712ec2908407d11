// SPDX-License-Identifier: Apache-2.0
// What a point with the memory of a guest of 256 MiB costs: how long the guest stands still, idle or with much in its
// memory, and the bytes stored of the idle one beside `zstd -1` of its RAM's pages that are not zero. Prints medians;
// see README.md here.
#include <fmt/core.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "base/process.hpp"
#include "benchmarks/median.hpp"
#include "rig/guest.hpp"
#include "rig/icecore_run.hpp"
#include "rig/requirements.hpp"
#include "rig/test_domain.hpp"

namespace icecore {

namespace {

class Bench {
 public:
  explicit Bench(rig::TestDomain& domain)
      : domain_(domain), options_{"--repository", path("repository"), "--key-file", path("key"),
                                  "--state-dir",  path("state"),      "--json"} {}

  base::Json icecore(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), options_.begin(), options_.end());
    const rig::IcecoreOutcome outcome = rig::icecore(arguments);
    if (outcome.exit_code != 0) base::fail(base::Fault::internal, "{}: {}", arguments[0], outcome.error_output);
    return outcome.json();
  }
  base::Json back_up(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"backup", domain_.name(), "--full-state"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return icecore(arguments).at("results")[0].at("point");
  }
  // QEMU leaves zero pages out of a file it saves itself, which is what `virsh save` without compression is.
  std::uint64_t zstd_bytes() const {
    const std::string file = path("saved");
    base::run_checked({.arguments = {"virsh", "-q", "-c", domain_.uri(), "save", domain_.name(), file, "--running"}},
                      std::chrono::minutes(2));
    base::run_checked({.arguments = {"zstd", "-q", "-1", file, "-o", file + ".zst"}}, std::chrono::minutes(2));
    return std::filesystem::file_size(file + ".zst");
  }

 private:
  std::string path(const char* name) const { return (domain_.folder() / name).string(); }

  rig::TestDomain& domain_;
  std::vector<std::string> options_;
};

// Measured, not restored: without KVM this QEMU may miss some of what the guest writes.
const std::vector<std::string> k_live = {"--live"};

rig::DomainOptions idle_guest() {
  rig::DomainOptions options;
  options.disks = {{.image = {.file_system = true}}};
  options.memory_mib = 256;
  return options;
}

// There is more to save than QEMU writes within the time it may stop a guest.
double paused_when_full(int rounds) {
  rig::TestDomain domain(idle_guest());
  domain.start();
  rig::Guest guest(domain);
  guest.wait_agent();
  guest.shell("dd if=/dev/urandom of=/run/noise bs=1M count=64");
  const Bench bench(domain);
  bench.icecore({"init"});
  std::vector<double> live;
  for (int round = 0; round < rounds; ++round) live.push_back(bench.back_up(k_live).at("paused_ms").get<double>());
  return median(live);
}

void run(int rounds) {
  rig::TestDomain domain(idle_guest());
  domain.start();
  rig::Guest(domain).wait_agent();
  const Bench bench(domain);
  bench.icecore({"init"});
  std::vector<double> live;
  std::vector<double> paused;
  std::vector<double> again;
  bench.icecore({"backup", domain.name()});  // disk and boot files: what comes then is the memory
  const double first = bench.back_up(k_live).at("bytes_stored").get<double>();
  for (int round = 0; round < rounds; ++round) {
    const base::Json point = bench.back_up(k_live);
    live.push_back(point.at("paused_ms").get<double>());
    again.push_back(point.at("bytes_stored").get<double>());
    paused.push_back(bench.back_up({"--pause"}).at("paused_ms").get<double>());
  }
  const auto compressed = static_cast<double>(bench.zstd_bytes());
  fmt::print("| | |\n| --- | ---: |\n");
  fmt::print("| guest paused, ms (target: 300) | {:.0f} |\n", median(live));
  fmt::print("| with 64 MiB of random data in its memory, ms | {:.0f} |\n", paused_when_full(rounds));
  fmt::print("| guest paused with --pause, ms | {:.0f} |\n", median(paused));
  fmt::print("| first point's memory stored, MiB | {:.1f} |\n", first / base::k_mib);
  fmt::print("| of `zstd -1` of the save file (target: 1.1) | {:.2f} |\n", first / compressed);
  fmt::print("| next point of the idle guest, MiB | {:.1f} |\n", median(again) / base::k_mib);
}

}  // namespace
}  // namespace icecore

int main(int argc, char** argv) {
  try {
    icecore::run(argc > 1 ? std::atoi(argv[1]) : 5);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "full_state: {}\n", error.what());
    return 1;
  }
}
