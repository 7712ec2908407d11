// SPDX-License-Identifier: Apache-2.0
// How fast packs go to an sshd on this host and come back, beside OpenSSH's own sftp with the same cipher and MAC, by
// turns in one run; directly, and through a proxy with round trips of 0 and 50 ms. A rate is that of the bytes alone:
// our connections are made before, and the time of a login is taken off sftp's. Needs root. Usage: sftp_rates [ROUNDS]
// [MIB] [CONNECTIONS]
#include <fmt/core.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <map>
#include <thread>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/process.hpp"
#include "benchmarks/median.hpp"
#include "rig/ssh_server.hpp"
#include "rig/tcp_proxy.hpp"
#include "storage/sftp_storage.hpp"

namespace {

namespace base = icecore::base;
namespace rig = icecore::rig;
namespace storage = icecore::storage;
using icecore::median;

constexpr std::size_t k_pack_bytes = 16 * base::k_mib;
constexpr base::Milliseconds k_one_way{25};
constexpr base::Milliseconds k_deadline{300'000};

struct Setting {
  int rounds = 5;
  std::size_t packs = 48;
  unsigned connections = 8;  // as an uploader has
};

double cpu_seconds(int who) {
  rusage usage{};
  ::getrusage(who, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class Benchmark {
 public:
  explicit Benchmark(const Setting& setting) : setting_(setting), proxy_(server_.port()) {
    server_.enter_home();
    server_.trust(proxy_.port());
    // In memory on both sides: the network's side is measured, not a disk.
    local_ = server_.home().parent_path() / "local";
    for (const std::filesystem::path& folder : {local_, server_.files()}) {
      base::create_folders(folder);
      if (::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=8g") != 0) base::fail_errno(errno, "mount tmpfs");
    }
    std::uint64_t state = 1;
    pack_.resize(k_pack_bytes);
    for (std::byte& at : pack_) at = static_cast<std::byte>((state = state * 6364136223846793005 + 1) >> 56);
    for (std::size_t i = 0; i < setting_.packs; ++i) base::write_durably(local_ / fmt::format("pack{}", i), pack_);
  }

  void run() {
    for (int round = 0; round < setting_.rounds; ++round) {
      for (const base::Milliseconds latency : {base::Milliseconds(0), k_one_way}) {
        proxy_.set_latency(latency);
        const std::string place = latency.count() == 0 ? "0 ms" : "50 ms";
        const int port = proxy_.port();
        icecore(place, port);
        openssh(place, port);
      }
      icecore("direct", server_.port());
      openssh("direct", server_.port());
    }
    print();
  }

 private:
  void icecore(const std::string& place, int port) {
    clear();
    const auto target = std::make_unique<storage::SftpStorage>(
        storage::parse_sftp_url(server_.url("repository", port)),
        storage::SftpSettings{.connections = setting_.connections, .create = true});
    on_all_threads(
        [&](auto&& take) {
          while (const auto i = take()) target->put(fmt::format("warm/{}", *i), pack_);
        },
        setting_.connections);
    measure(place, "put", [&](auto&& take) {
      const auto next = [&]() -> std::optional<storage::NamedFile> {
        const auto i = take();
        if (!i) return std::nullopt;
        return storage::NamedFile{fmt::format("packs/{:02x}/x", *i), local_ / fmt::format("pack{}", *i)};
      };
      target->put_files(next, [](const std::string&) {});
    });
    measure(place, "get", [&](auto&& take) {
      while (const auto i = take()) {
        if (target->get(fmt::format("packs/{:02x}/x", *i), k_pack_bytes).size() != k_pack_bytes) std::abort();
      }
    });
  }

  template <typename Action>
  void measure(const std::string& place, const std::string& what, Action&& action) {
    const double cpu = cpu_seconds(RUSAGE_SELF);
    const base::Stopwatch watch;
    on_all_threads(std::forward<Action>(action), setting_.packs);
    note("icecore", place, what, watch.elapsed(), cpu_seconds(RUSAGE_SELF) - cpu);
  }

  // Each takes one pack after another, from 0 on; `take` gives nothing when `count` are taken.
  template <typename Action>
  void on_all_threads(Action&& action, std::size_t count) {
    std::atomic<std::size_t> next = 0;
    const auto take = [&]() -> std::optional<std::size_t> {
      const std::size_t pack = next++;
      return pack < count ? std::optional(pack) : std::nullopt;
    };
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < setting_.connections; ++i) threads.emplace_back([&] { action(take); });
  }

  void openssh(const std::string& place, int port) {
    clear();
    const std::string there = server_.files().string();
    sftp(place, port, "put", fmt::format("put {}/pack* {}/", local_.string(), there));
    std::filesystem::create_directory(local_ / "back");
    sftp(place, port, "get", fmt::format("get {}/pack* {}/back/", there, local_.string()));
    std::filesystem::remove_all(local_ / "back");
  }

  void sftp(const std::string& place, int port, const std::string& what, const std::string& line) {
    const base::Milliseconds login = time_of_sftp(port, "pwd");
    const double cpu = cpu_seconds(RUSAGE_CHILDREN);
    const base::Milliseconds whole = time_of_sftp(port, line);
    note("openssh", place, what, whole - login, cpu_seconds(RUSAGE_CHILDREN) - cpu);
  }

  base::Milliseconds time_of_sftp(int port, const std::string& line) const {
    const std::string ssh = (server_.home() / ".ssh").string();
    const base::Stopwatch watch;
    base::run_checked(
        {.arguments = {"sftp", "-q", "-b", "-", "-i", ssh + "/id_ed25519", "-o",
                       "UserKnownHostsFile=" + ssh + "/known_hosts", "-o", "IdentitiesOnly=yes", "-c", "aes128-ctr",
                       "-o", "MACs=hmac-sha2-256", "-P", std::to_string(port), server_.user() + "@127.0.0.1"},
         .pass_descriptors = {},
         .input = line + "\n"},
        k_deadline);
    return watch.elapsed();
  }

  void clear() {
    for (const auto& entry : std::filesystem::directory_iterator(server_.files())) std::filesystem::remove_all(entry);
  }

  void note(const std::string& who, const std::string& place, const std::string& what, base::Milliseconds time,
            double cpu) {
    const double mib = static_cast<double>(setting_.packs * k_pack_bytes) / base::k_mib;
    const double rate = mib / (static_cast<double>(time.count()) / 1000);
    rates_[place + " " + what][who].push_back(rate);
    fmt::print("  {:8} {:6} {:4} {:6.0f} MiB/s  {:5.2f} s client CPU\n", who, place, what, rate, cpu);
    std::fflush(stdout);
  }

  static double median_ratio(const std::vector<double>& above, const std::vector<double>& below) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < above.size(); ++i) ratios.push_back(above[i] / below[i]);
    return median(ratios);
  }

  void print() {
    fmt::print("\n");
    for (auto& [what, rates] : rates_) {
      fmt::print("{:10} icecore {:5.0f} MiB/s, sftp {:5.0f} MiB/s, median of ratios {:.2f}\n", what,
                 median(rates["icecore"]), median(rates["openssh"]), median_ratio(rates["icecore"], rates["openssh"]));
    }
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    fmt::print("peak resident {:.0f} MiB\n\n", static_cast<double>(usage.ru_maxrss) / 1024);
    for (const std::string what : {"put", "get"}) {
      goal(fmt::format("{} over {} connections at the rate of one OpenSSH sftp or more, both direct", what,
                       setting_.connections),
           median_ratio(rates_["direct " + what]["icecore"], rates_["direct " + what]["openssh"]), 1);
      goal(fmt::format("{} at 50 ms round trip at 0.8 x its own rate through the same proxy at 0 ms or more", what),
           share("50 ms", "0 ms", what, "icecore"), 0.8);
      fmt::print(
          "  - the same of its direct rate {:.2f} x; the proxy alone leaves {:.2f} x; sftp's own at 50 ms {:.2f} x\n",
          share("50 ms", "direct", what, "icecore"), share("0 ms", "direct", what, "icecore"),
          share("50 ms", "0 ms", what, "openssh"));
    }
  }

  double share(const std::string& place, const std::string& of, const std::string& what, const std::string& who) {
    return median_ratio(rates_[place + " " + what][who], rates_[of + " " + what][who]);
  }
  static void goal(const std::string& text, double value, double wanted) {
    fmt::print("- {}: {}: {:.2f} x\n", value >= wanted ? "reached" : "MISSED ", text, value);
  }

  const Setting setting_;
  const rig::SshServer server_;
  rig::TcpProxy proxy_;
  std::filesystem::path local_;
  base::Bytes pack_;
  std::map<std::string, std::map<std::string, std::vector<double>>> rates_;
};

}  // namespace

int main(int count, char** arguments) {
  try {
    Setting setting;
    if (count > 1) setting.rounds = std::atoi(arguments[1]);
    if (count > 2) setting.packs = static_cast<std::size_t>(std::atoi(arguments[2])) * base::k_mib / k_pack_bytes;
    if (count > 3) setting.connections = static_cast<unsigned>(std::atoi(arguments[3]));
    Benchmark(setting).run();
    return EXIT_SUCCESS;
  } catch (const base::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return EXIT_FAILURE;
  }
}
