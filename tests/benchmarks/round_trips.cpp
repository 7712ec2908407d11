// SPDX-License-Identifier: Apache-2.0
// How many round trips a staged backup of 64 changed MiB makes over SFTP beyond those of its packs alone. Counted by
// time: what a latency of 50 ms adds to the whole command, less what it adds to storing its packs again, side by side,
// over connections that stand; over 50 ms. Needs root and libvirt. Usage: round_trips [ROUNDS]
#include <fmt/core.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <random>
#include <set>
#include <thread>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "benchmarks/median.hpp"
#include "rig/icecore_run.hpp"
#include "rig/requirements.hpp"
#include "rig/ssh_server.hpp"
#include "rig/tcp_proxy.hpp"
#include "rig/test_domain.hpp"
#include "storage/sftp_storage.hpp"

namespace icecore {

namespace {

constexpr std::size_t k_changed_bytes = 64 * base::k_mib;
constexpr unsigned k_packs_max = 8;
constexpr base::Milliseconds k_one_way{25};

rig::DomainOptions small_raw_disk() {
  rig::DomainOptions options;
  options.disks = {{.image = {.format = "raw", .size = 2 * k_changed_bytes}}};
  return options;
}

class Benchmark {
 public:
  Benchmark() : proxy_(server_.port()), domain_(small_raw_disk()) {
    server_.enter_home();
    server_.trust(proxy_.port());
    run({"init"});
    back_up();
    new_packs_ = take_new_packs();
    storage_ =
        std::make_unique<storage::SftpStorage>(storage::parse_sftp_url(server_.url("packs", proxy_.port())),
                                               storage::SftpSettings{.connections = k_packs_max, .create = true});
    store_packs();  // makes the connections
  }

  void take_one_of_each() {
    for (const bool far : {false, true}) {
      proxy_.set_latency(far ? k_one_way : base::Milliseconds(0));
      (far ? far_backups_ : near_backups_).push_back(back_up());
      new_packs_ = take_new_packs();
      (far ? far_packs_ : near_packs_).push_back(store_packs());
    }
    proxy_.set_latency(base::Milliseconds(0));
  }

  void print() const {
    const double whole = median(far_backups_) - median(near_backups_);
    const double packs = median(far_packs_) - median(near_packs_);
    const double trip = 2.0 * static_cast<double>(k_one_way.count());
    fmt::print("| medians of {} rounds | 0 ms | 50 ms | round trips |\n|---|---:|---:|---:|\n", far_backups_.size());
    fmt::print("| backup of 64 changed MiB, ms | {:.0f} | {:.0f} | {:.1f} |\n", median(near_backups_),
               median(far_backups_), whole / trip);
    fmt::print("| its packs alone, ms | {:.0f} | {:.0f} | {:.1f} |\n", median(near_packs_), median(far_packs_),
               packs / trip);
    fmt::print("| more than the packs (target: 20) | | | {:.1f} |\n", (whole - packs) / trip);
  }

 private:
  void run(std::vector<std::string> arguments) {
    const std::string folder = domain_.folder().string();
    for (const std::string& word :
         {std::string("--repository"), server_.url("repository", proxy_.port()), std::string("--key-file"),
          folder + "/key", std::string("--state-dir"), folder + "/state"})
      arguments.push_back(word);
    const rig::IcecoreOutcome outcome = rig::icecore(arguments, server_.environment());
    if (outcome.exit_code != 0) base::fail(base::Fault::internal, "icecore failed: {}", outcome.error_output);
    wall_ = static_cast<double>(outcome.wall.count());
  }

  double back_up() {
    const base::Bytes noise = new_noise(k_changed_bytes);
    std::fstream disk(domain_.disk_path(), std::ios::in | std::ios::out | std::ios::binary);
    disk.write(reinterpret_cast<const char*>(noise.data()), static_cast<std::streamsize>(noise.size()));
    disk.close();
    run({"backup", domain_.name()});
    return wall_;
  }

  // Their sizes: of those that came since the last call.
  std::vector<std::size_t> take_new_packs() {
    std::vector<std::size_t> sizes;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(server_.files() / "repository" / "packs")) {
      if (entry.is_regular_file() && known_.insert(entry.path()).second) sizes.push_back(entry.file_size());
    }
    return sizes;
  }

  double store_packs() {
    std::vector<base::Bytes> packs;
    for (const std::size_t size : new_packs_) packs.push_back(new_noise(size));
    const base::Stopwatch watch;
    {
      std::vector<std::jthread> threads;
      for (const base::Bytes& pack : packs)
        threads.emplace_back([&, name = fmt::format("packs/{}", next_++)] { storage_->put(name, pack); });
    }
    return static_cast<double>(watch.elapsed().count());
  }

  base::Bytes new_noise(std::size_t size) {
    base::Bytes bytes(size);
    for (std::byte& at : bytes) at = static_cast<std::byte>(noise_() >> 24);
    return bytes;
  }

  rig::SshServer server_;
  rig::TcpProxy proxy_;
  rig::TestDomain domain_;
  std::unique_ptr<storage::SftpStorage> storage_;
  std::mt19937 noise_{1};
  std::set<std::filesystem::path> known_;
  std::vector<std::size_t> new_packs_;
  int next_ = 0;
  double wall_ = 0;
  std::vector<double> near_backups_;
  std::vector<double> far_backups_;
  std::vector<double> near_packs_;
  std::vector<double> far_packs_;
};

void run(int rounds) {
  Benchmark benchmark;
  for (int round = 0; round < rounds; ++round) benchmark.take_one_of_each();
  benchmark.print();
}

}  // namespace

void measure_round_trips(int rounds) { run(rounds); }

}  // namespace icecore

int main(int argc, char** argv) {
  try {
    if (const auto missing = icecore::rig::missing_part({"root", "libvirt", "icecore", "program:sshd"})) {
      fmt::print(stderr, "{}\n", missing->reason);
      return 77;
    }
    icecore::measure_round_trips(argc > 1 ? std::atoi(argv[1]) : 9);
    return 0;
  } catch (const icecore::base::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
