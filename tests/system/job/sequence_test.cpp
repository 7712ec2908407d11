// SPDX-License-Identifier: Apache-2.0
// A long, seeded series of whatever may happen to a domain and its backups: writes, discards, backups of every mode,
// failures, crashes at any step, QEMU killed, domains stopped and started, disks grown and exchanged, forgets, prunes.
// What the disks held at the instant of each point is remembered, and every point that is left must give it back, byte
// for byte.
//
// ICECORE_SEQUENCE_SEED and ICECORE_SEQUENCE_STEPS choose another series, or a longer one.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "base/json.hpp"
#include "base/process.hpp"
#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

constexpr std::uint64_t k_mib = 1024 * 1024;
constexpr std::uint64_t k_disk_bytes = 24 * k_mib;
constexpr std::uint64_t k_sector = 512;
constexpr int k_steps = 100;
const std::vector<std::string> k_targets = {"vda", "vdb", "sda"};
const std::string k_layer_mode = "--change-map=layer";

unsigned from_environment(const char* name, unsigned otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : static_cast<unsigned>(std::strtoul(text, nullptr, 10));
}

using Content = std::map<std::string, std::string>;  // target -> hash

class Series {
 public:
  Series(unsigned seed, unsigned steps)
      : subject_({.disks = {disk("vda", "virtio", {.size = k_disk_bytes}),
                            disk("vdb", "virtio", {.format = "raw", .size = k_disk_bytes}),
                            disk("sda", "scsi", {.size = k_disk_bytes, .create_options = {"cluster_size=4k"}})}}),
        random_(seed),
        steps_(steps) {}

  void run() {
    subject_.init();
    subject_.domain.start_paused();
    for (unsigned step = 1; step <= steps_ && !testing::Test::HasFailure(); ++step) {
      const Kind& kind = choose();
      told_ += fmt::format("\n{}: {}", step, kind.name);
      SCOPED_TRACE(told_);
      (this->*kind.act)();
    }
    SCOPED_TRACE(told_);
    end();
  }

 private:
  struct Kind {
    const char* name;
    unsigned weight;
    void (Series::*act)();
  };

  static rig::DiskOptions disk(const std::string& target, const std::string& bus, const rig::ImageOptions& image) {
    return {.target = target, .bus = bus, .image = image, .driver_attributes = "discard='unmap'"};
  }

  static const std::vector<Kind>& kinds() {
    static const std::vector<Kind> all = {{"write", 30, &Series::write},
                                          {"write zeroes", 8, &Series::write_zeroes},
                                          {"discard", 10, &Series::discard},
                                          {"backup", 16, &Series::back_up},
                                          {"backup that fails", 5, &Series::fail_backup},
                                          {"backup that is killed", 8, &Series::kill_backup},
                                          {"recover", 4, &Series::recover},
                                          {"merge layers", 2, &Series::merge_layers},
                                          {"kill QEMU", 3, &Series::kill_qemu},
                                          {"stop or start", 5, &Series::stop_or_start},
                                          {"grow", 2, &Series::grow},
                                          {"exchange", 2, &Series::exchange},
                                          {"forget", 6, &Series::forget},
                                          {"prune", 4, &Series::prune},
                                          {"restore", 5, &Series::restore_any}};
    return all;
  }

  std::uint64_t below(std::uint64_t end) { return std::uniform_int_distribution<std::uint64_t>(0, end - 1)(random_); }
  template <typename Values>
  const auto& one_of(const Values& values) {
    return values[below(std::size(values))];
  }

  const Kind& choose() {
    unsigned sum = 0;
    for (const Kind& kind : kinds()) sum += kind.weight;
    std::uint64_t at = below(sum);
    for (const Kind& kind : kinds()) {
      if (at < kind.weight) return kind;
      at -= kind.weight;
    }
    return kinds().front();
  }

  // ---- what happens to the guest
  struct Place {
    std::string target;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
  };
  Place somewhere() {
    Place place{.target = one_of(k_targets)};
    place.length = (1 + below(below(8) == 0 ? 4096 : 64)) * k_sector;
    place.offset = below((sizes_[place.target] - place.length) / k_sector + 1) * k_sector;
    told_ += fmt::format(" {} {}+{}", place.target, place.offset, place.length);
    return place;
  }

  void write_pattern(unsigned char pattern) {
    const auto [target, offset, length] = somewhere();
    told_ += fmt::format(" {:#x}", pattern);
    if (subject_.domain.is_running()) return subject_.domain.monitor_write(target, offset, length, pattern);
    if (is_on_overlay(target)) return;
    rig::write_pattern(active_image(target), active_format(target), offset, length, pattern);
  }
  void write() { write_pattern(static_cast<unsigned char>(1 + below(255))); }
  void write_zeroes() { write_pattern(0); }

  void discard() {
    const auto [target, offset, length] = somewhere();
    if (subject_.domain.is_running()) return subject_.domain.monitor_discard(target, offset, length);
    if (is_on_overlay(target)) return;
    rig::discard(active_image(target), active_format(target), offset, length);
  }

  // What the guest writes to at the next start: the disk's own image, or a kept layer.
  std::string active_image(const std::string& target) const { return subject_.domain.inactive_source(target); }
  std::string active_format(const std::string& target) const {
    return active_image(target) == subject_.domain.disk_path(target) ? subject_.domain.disk_format(target) : "qcow2";
  }
  // A crash left it there, or a merge of the layer below unfinished, and the next recovery brings it back.
  bool is_on_overlay(const std::string& target) const {
    if (active_image(target) == subject_.domain.disk_path(target)) return false;
    if (!active_image(target).ends_with(".layer.qcow2")) return true;
    const std::string info = base::run_checked(
        {.arguments = {"qemu-img", "info", "-U", "--output=json", active_image(target)}}, base::Milliseconds(60'000));
    return base::parse_json(info, "qemu-img info").at("full-backing-filename") !=
           subject_.domain.disk_path(target).string();
  }

  void grow() {
    const std::string& target = one_of(k_targets);
    if (is_on_overlay(target)) return;
    sizes_[target] += (1 + below(64)) * 4 * k_sector * 16;
    told_ += fmt::format(" {} to {}", target, sizes_[target]);
    if (subject_.domain.is_running()) {
      EXPECT_EQ(::virDomainBlockResize(subject_.domain.handle(), target.c_str(), sizes_[target],
                                       VIR_DOMAIN_BLOCK_RESIZE_BYTES),
                0);
      return;
    }
    tool({"qemu-img", "resize", "-q", "-f", active_format(target), active_image(target),
          std::to_string(sizes_[target])});
  }

  // Another file in its place, with the same name, bitmaps and all, and another content.
  void exchange() {
    const std::string& target = one_of(k_targets);
    if (subject_.domain.is_running() || is_on_overlay(target)) return;
    const std::filesystem::path path = subject_.domain.disk_path(target);
    std::filesystem::copy_file(path, path.string() + ".other");
    rig::write_pattern(path.string() + ".other", subject_.domain.disk_format(target), below(64) * 16 * k_sector,
                       64 * k_sector, static_cast<unsigned char>(below(256)));
    std::filesystem::rename(path.string() + ".other", path);
    told_ += " " + target;
  }

  static void tool(std::vector<std::string> arguments) {
    base::run_checked({.arguments = std::move(arguments)}, base::Milliseconds(60'000));
  }

  void kill_qemu() {
    if (subject_.domain.is_running()) subject_.domain.kill_qemu();
    if (below(2) == 0) subject_.domain.start_paused();
  }

  void stop_or_start() {
    if (subject_.domain.is_running()) return subject_.domain.destroy();
    subject_.domain.start_paused();
  }

  Content content() {
    Content now;
    for (const std::string& target : k_targets) now[target] = subject_.domain.hash_disk(target);
    return now;
  }

  // ---- backups. A killed one that was sealed is published by the next recovery, hence before any later one.
  std::vector<std::string> backup_words() {
    static const std::vector<std::string> modes = {
        "",           "",           "",           "--change-map=scan", "--mode=copy",   "--full-state=try",
        k_layer_mode, k_layer_mode, k_layer_mode, k_layer_mode,        "--recheck=1000"};
    const std::string& mode = one_of(modes);
    std::vector<std::string> words = {"backup", subject_.domain.name(), "--quiesce=off"};
    if (!mode.empty()) words.push_back(mode);
    told_ += " " + mode;
    return words;
  }

  // What the disks hold now, and since when: they change only between steps.
  struct Instant {
    Content content;
    std::string time;
  };
  Instant instant() { return {content(), base::format_time(base::now())}; }

  void back_up() {
    const Instant now = instant();
    const std::vector<std::string> words = backup_words();
    const bool may_be_on_layers = words.back() == k_layer_mode || words.back() == "--mode=copy";
    subject_.must(words);
    attribute(now);
    EXPECT_FALSE(open_) << "there is no new point";
    may_be_on_layers ? expect_settled() : subject_.expect_at_rest();
  }

  // An error after the point is sealed leaves the job to recover, which may then be the next backup's first step.
  void fail_backup() { interrupt_backup("error"); }
  void kill_backup() { interrupt_backup("kill"); }

  void interrupt_backup(const std::string& action) {
    static const std::vector<std::string> states = {"frozen",     "snapshotted", "thawed",    "reading",  "sealed",
                                                    "committing", "committed",   "uploading", "published"};
    static const std::vector<std::string> moments = {"intent", "acted", "fact"};
    // Those of layers are passed only where there are some.
    static const std::vector<std::string> of_layers = {
        "layer.before_commit", "layer.commit_begun",     "layer.committed_live",
        "layer.before_unlink", "layer.unlinked",         "layer.committed_offline",
        "layer.rebased",       "merge.intent.committed", "merge.acted.committed"};
    const bool in_layers = below(3) == 0;
    const std::string failpoint =
        (in_layers ? one_of(of_layers) : "backup." + one_of(moments) + "." + one_of(states)) + "=" + action;
    told_ += " " + failpoint;
    const Instant now = instant();
    const rig::IcecoreOutcome outcome = subject_.run(backup_words(), {{"ICECORE_FAILPOINTS", failpoint}});
    EXPECT_TRUE(in_layers || outcome.exit_code != 0);
    attribute(now);
  }

  // A point that waits for its recovery may have lost blocks to a forget and a prune without grace: that is told, and
  // ends its job.
  void must_recover(std::vector<std::string> words) {
    const rig::IcecoreOutcome outcome = subject_.run(std::move(words));
    const bool lost = open_ && outcome.exit_code == 3 &&
                      outcome.error_output.find("cannot be published: a prune removed") != std::string::npos;
    EXPECT_TRUE(outcome.exit_code == 0 || lost) << outcome.error_output << outcome.output;
  }

  void recover() {
    must_recover({"recover"});
    attribute(instant());
    open_.reset();
    expect_settled();
  }

  void merge_layers() {
    const Content before = content();
    must_recover({"recover", subject_.domain.name(), "--merge-layers"});
    attribute(instant());
    open_.reset();
    EXPECT_EQ(content(), before);
    subject_.expect_at_rest();
  }

  // Each disk on its own image, or on one kept layer directly over it; no other file of ours.
  void expect_settled() const {
    std::size_t layers = 0;
    for (const std::string& target : k_targets) {
      EXPECT_FALSE(is_on_overlay(target)) << target << " is on " << active_image(target);
      if (subject_.domain.is_running()) {
        EXPECT_EQ(subject_.domain.live_source(target), active_image(target));
      }
      layers += active_image(target).ends_with(".layer.qcow2") ? 1 : 0;
    }
    for (const auto& file : std::filesystem::recursive_directory_iterator(subject_.domain.folder())) {
      EXPECT_EQ(file.path().string().find(".ovl.qcow2"), std::string::npos) << file.path();
      layers -= file.path().string().ends_with(".layer.qcow2") ? 1 : 0;
    }
    EXPECT_EQ(layers, 0U) << "there are layers that no disk is on";
  }

  // Notes what new points hold: the one of the backup that was interrupted before, and of the one begun at `now`, which
  // is the open one if it has none yet.
  void attribute(const Instant& now) {
    bool of_now = false;
    const base::Json list = subject_.must({"list", "--json"}).json();
    for (const base::Json& point : list.at("points")) {
      const std::string id = point.at("id");
      if (known_.contains(id)) continue;
      const bool is_new = point.at("time") >= now.time;
      ASSERT_TRUE(is_new || open_) << id;
      known_[id] = is_new ? now.content : open_->content;
      of_now = of_now || is_new;
    }
    open_ = of_now ? std::nullopt : std::optional(now);
  }

  // ---- the repository
  void forget() {
    if (known_.size() < 3) return;
    const std::string id = std::next(known_.begin(), static_cast<long>(below(known_.size())))->first;
    told_ += " " + id.substr(0, 8);
    subject_.must({"forget", id});
    known_.erase(id);
  }
  void prune() { subject_.must({"prune", "--grace=0s", "--rewrite-below=80"}); }

  void restore_any() {
    if (known_.empty()) return;
    const auto point = std::next(known_.begin(), static_cast<long>(below(known_.size())));
    expect_content(point->first, point->second);
  }

  void expect_content(const std::string& id, const Content& content) {
    const std::filesystem::path folder = subject_.domain.folder() / "restored";
    subject_.must({"restore", id, "--disks-only", "--to", folder.string()});
    for (const auto& [target, hash] : content) {
      const std::string format = subject_.domain.disk_format(target);
      EXPECT_EQ(rig::content_hash(folder / (target + "." + format), format), hash) << target << " of " << id;
    }
    std::filesystem::remove_all(folder);
  }

  void end() {
    recover();
    merge_layers();
    for (const auto& [id, content] : known_) expect_content(id, content);
    subject_.must({"verify", "--read-data"});
  }

  ProtectedDomain subject_;
  std::mt19937_64 random_;
  unsigned steps_;
  std::map<std::string, std::uint64_t> sizes_ = {{"vda", k_disk_bytes}, {"vdb", k_disk_bytes}, {"sda", k_disk_bytes}};
  std::string told_;
  std::map<std::string, Content> known_;  // point -> what it must give back
  std::optional<Instant> open_;           // of the backup interrupted last
};

class Sequence : public testing::TestWithParam<unsigned> {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }
};

TEST_P(Sequence, EveryPointGivesBackItsInstant) {
  const unsigned seed = from_environment("ICECORE_SEQUENCE_SEED", GetParam());
  const unsigned steps = from_environment("ICECORE_SEQUENCE_STEPS", k_steps);
  fmt::print("seed {}, {} steps\n", seed, steps);
  Series(seed, steps).run();
}

INSTANTIATE_TEST_SUITE_P(Seeded, Sequence, testing::Values(1, 2));

}  // namespace
}  // namespace icecore::system_test
