// SPDX-License-Identifier: Apache-2.0
// A long, seeded series of whatever may happen to a domain and its backups: all that a RestlessDomain does, backups of
// its disks in every mode, with its memory or without, with writes inside their window, failures, crashes at any step,
// forgets, prunes. What the disks held at the instant of each point is remembered, and every point that is left must
// give it back, byte for byte. Nor do the disks themselves ever lose anything: after each step that works on them they
// are read, and hold what they held, but for what was written to them.
//
// ICECORE_SEQUENCE_SEED and ICECORE_SEQUENCE_STEPS choose another series, or a longer one. A seed means the same series
// for as long as kinds() and what the steps ask of the dice stay as they are.
#include <gtest/gtest.h>

#include <cstdlib>

#include "rig/requirements.hpp"
#include "system/job/known_points.hpp"
#include "system/job/restless_domain.hpp"

namespace icecore::system_test {
namespace {

using Instant = RestlessDomain::Instant;

constexpr int k_steps = 100;
const std::string k_layer_mode = "--change-map=layer";

unsigned from_environment(const char* name, unsigned otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : static_cast<unsigned>(std::strtoul(text, nullptr, 10));
}

class Series {
 public:
  Series(unsigned seed, unsigned steps)
      : dice_(seed), domain_(dice_), subject_(domain_.subject), points_(subject_), steps_(steps) {}

  void run() {
    subject_.init();
    subject_.domain.start_paused();
    for (unsigned step = 1; step <= steps_ && !testing::Test::HasFailure(); ++step) {
      const Kind& kind = choose();
      dice_.tell("\n{}: {}", step, kind.name);
      act(kind);
    }
    SCOPED_TRACE(dice_.told);
    end();
  }

 private:
  // What a step does to what the disks hold.
  enum class Disks {
    written,   // it changes, and the domain notes that itself
    kept,      // nothing, though it works on them: it is read again afterwards
    untouched  // nothing, from afar
  };
  struct Kind {
    const char* name;
    unsigned weight;
    Disks disks;
    void (*act)(Series&);
  };

  static const std::vector<Kind>& kinds() {
    static const std::vector<Kind> all = {
        {"write", 30, Disks::written, [](Series& series) { series.domain_.write(); }},
        {"write zeroes", 8, Disks::written, [](Series& series) { series.domain_.write_zeroes(); }},
        {"discard", 10, Disks::written, [](Series& series) { series.domain_.discard(); }},
        {"backup", 12, Disks::kept, [](Series& series) { series.back_up(); }},
        {"backup with a busy window", 5, Disks::kept, [](Series& series) { series.back_up_busily(); }},
        {"backup that fails", 5, Disks::kept, [](Series& series) { series.interrupt_backup("error"); }},
        {"backup that is killed", 8, Disks::kept, [](Series& series) { series.interrupt_backup("kill"); }},
        {"recover", 4, Disks::kept, [](Series& series) { series.recover(); }},
        {"merge layers", 2, Disks::kept, [](Series& series) { series.merge_layers(); }},
        {"kill QEMU", 3, Disks::kept, [](Series& series) { series.domain_.kill_qemu(); }},
        {"stop or start", 6, Disks::kept, [](Series& series) { series.domain_.stop_or_start(); }},
        {"grow", 2, Disks::written, [](Series& series) { series.domain_.grow(); }},
        {"shrink", 3, Disks::written, [](Series& series) { series.domain_.shrink(); }},
        {"exchange", 2, Disks::written, [](Series& series) { series.domain_.exchange_image(); }},
        {"exchange targets", 3, Disks::kept,
         [](Series& series) { series.if_settled(&RestlessDomain::exchange_targets); }},
        {"detach or attach", 4, Disks::kept,
         [](Series& series) { series.if_settled(&RestlessDomain::detach_or_attach); }},
        {"redefine", 3, Disks::kept, [](Series& series) { series.domain_.redefine(); }},
        {"redefine with another UUID", 1, Disks::kept,
         [](Series& series) { series.if_settled(&RestlessDomain::redefine_with_another_uuid); }},
        {"forget", 6, Disks::untouched, [](Series& series) { series.forget(); }},
        {"prune", 4, Disks::untouched, [](Series& series) { series.prune(); }},
        {"restore", 5, Disks::untouched, [](Series& series) { series.restore_any(); }}};
    return all;
  }

  const Kind& choose() {
    unsigned sum = 0;
    for (const Kind& kind : kinds()) sum += kind.weight;
    std::uint64_t at = dice_.below(sum);
    for (const Kind& kind : kinds()) {
      if (at < kind.weight) return kind;
      at -= kind.weight;
    }
    return kinds().front();
  }

  // What throws tells of the steps before it, too.
  void act(const Kind& kind) {
    try {
      if (kind.disks == Disks::kept) domain_.read_written();
      kind.act(*this);
      if (kind.disks == Disks::kept) domain_.expect_kept();
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
    if (testing::Test::HasFailure()) ADD_FAILURE() << "after" << dice_.told;
  }

  void if_settled(void (RestlessDomain::*event)()) {
    if (!points_.has_open_job()) (domain_.*event)();
  }

  // ---- backups. A killed one that was sealed is published by the next recovery, hence before any later one.
  std::vector<std::string> backup_words() {
    static const std::vector<std::string> modes = {
        "",           "",           "",           "",           "--change-map=scan", "--mode=copy",
        k_layer_mode, k_layer_mode, k_layer_mode, k_layer_mode, "--recheck=1000"};
    const std::string& mode = dice_.one_of(modes);
    std::vector<std::string> words = {"backup", subject_.domain.name(), "--quiesce=off"};
    if (!mode.empty()) words.push_back(mode);
    dice_.tell(" {}", mode);
    return words;
  }

  void back_up() {
    const Instant now = domain_.instant();
    std::vector<std::string> words = backup_words();
    const bool with_memory = subject_.domain.is_running() && dice_.below(4) == 0;
    if (with_memory) {
      words.insert(words.begin() + 2, {"--full-state"});
      words.insert(words.begin() + 3, dice_.below(2) == 0 ? "--pause" : "--live");
      dice_.tell(" with memory");
      domain_.run_vcpus(true);
    }
    subject_.must(words);
    if (with_memory) domain_.run_vcpus(false);
    expect_point(now, words);
  }

  // The guest writes, is killed, or is started, while its frozen disks are read.
  void back_up_busily() {
    static const std::vector<std::string> places = {"acted.snapshotted", "fact.thawed", "fact.reading",
                                                    "intent.sealed",     "fact.sealed", "intent.committing"};
    const std::string place = "backup." + dice_.one_of(places);
    dice_.tell(" {}", place);
    const Instant now = domain_.instant();
    const std::vector<std::string> words = backup_words();
    rig::Environment environment = subject_.environment;
    environment["ICECORE_FAILPOINTS"] = place + "=pause";
    rig::IcecoreRun run(subject_.with_options(words), environment);
    run.wait_failpoint();
    if (!subject_.domain.is_running() && dice_.below(2) == 0) subject_.domain.start_paused();
    for (std::uint64_t writes = dice_.below(4); writes > 0 && subject_.domain.is_running(); --writes) domain_.write();
    domain_.read_written();
    if (subject_.domain.is_running() && dice_.below(4) == 0) {
      dice_.tell(" killed");
      subject_.domain.kill_qemu();
    }
    run.go_on();
    const rig::IcecoreOutcome outcome = run.wait();
    EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
    expect_point(now, words);
  }

  void expect_point(const Instant& now, const std::vector<std::string>& words) {
    EXPECT_TRUE(points_.note(now)) << "there is no new point";
    EXPECT_FALSE(points_.has_open_job());
    const bool may_be_on_layers = words.back() == k_layer_mode || words.back() == "--mode=copy";
    may_be_on_layers ? expect_settled() : subject_.expect_at_rest();
  }

  // An error after the point is sealed leaves the job to recover, which may then be the next backup's first step.
  void interrupt_backup(const std::string& action) {
    static const std::vector<std::string> states = {"frozen",     "snapshotted", "thawed",    "reading",  "sealed",
                                                    "committing", "committed",   "uploading", "published"};
    static const std::vector<std::string> moments = {"intent", "acted", "fact"};
    // Those of layers are passed only where there are some.
    static const std::vector<std::string> of_layers = {
        "layer.before_commit", "layer.commit_begun",     "layer.committed_live",
        "layer.before_unlink", "layer.unlinked",         "layer.committed_offline",
        "layer.rebased",       "merge.intent.committed", "merge.acted.committed"};
    const bool in_layers = dice_.below(3) == 0;
    const std::string failpoint =
        (in_layers ? dice_.one_of(of_layers) : "backup." + dice_.one_of(moments) + "." + dice_.one_of(states)) + "=" +
        action;
    dice_.tell(" {}", failpoint);
    const Instant now = domain_.instant();
    const rig::IcecoreOutcome outcome = subject_.run(backup_words(), {{"ICECORE_FAILPOINTS", failpoint}});
    EXPECT_TRUE(in_layers || outcome.exit_code != 0);
    points_.note(now);
  }

  // A point that waits for its recovery may have lost blocks to a forget and a prune without grace: that is told, and
  // ends its job. Every other one that was complete is published.
  void must_recover(std::vector<std::string> words) {
    const rig::IcecoreOutcome outcome = subject_.run(std::move(words));
    const bool lost = points_.may_have_lost_one() && outcome.exit_code == 3 &&
                      outcome.error_output.find("cannot be published: a prune removed") != std::string::npos;
    EXPECT_TRUE(outcome.exit_code == 0 || lost) << outcome.error_output << outcome.output;
    EXPECT_FALSE(points_.note(domain_.instant())) << "a point that no backup made";
    EXPECT_FALSE(points_.has_open_job());
  }

  void recover() {
    must_recover({"recover"});
    expect_settled();
  }

  void merge_layers() {
    must_recover({"recover", subject_.domain.name(), "--merge-layers"});
    subject_.expect_at_rest();
  }

  // Each disk on its own image, or on one kept layer directly over it; no other file of ours.
  void expect_settled() const {
    std::size_t layers = 0;
    for (const std::string& target : domain_.targets()) {
      EXPECT_FALSE(domain_.is_on_overlay(target)) << target << " is on " << domain_.active_image(target);
      if (subject_.domain.is_running()) {
        EXPECT_EQ(subject_.domain.live_source(target), domain_.active_image(target));
      }
      layers += domain_.active_image(target).ends_with(".layer.qcow2") ? 1 : 0;
    }
    for (const auto& file : std::filesystem::recursive_directory_iterator(subject_.domain.folder())) {
      EXPECT_EQ(file.path().string().find(".ovl.qcow2"), std::string::npos) << file.path();
      EXPECT_NE(file.path().extension(), ".save") << file.path();
      layers -= file.path().string().ends_with(".layer.qcow2") ? 1 : 0;
    }
    EXPECT_EQ(layers, 0U) << "there are layers that no disk is on";
  }

  // ---- the repository
  const KnownPoints::Point& any_point() { return dice_.one_of(points_.all()); }

  void forget() {
    if (points_.all().size() < 3) return;
    const std::string id = any_point().id;
    dice_.tell(" {}", id.substr(0, 8));
    subject_.must({"forget", id, "--even-last"});  // of a UUID that is gone it may be the last
    points_.forget(id);
  }
  void prune() {
    subject_.must({"prune", "--grace=0s", "--rewrite-below=80"});
    points_.note_prune();
  }

  void restore_any() {
    if (!points_.all().empty()) expect_content(any_point());
  }

  void expect_content(const KnownPoints::Point& point) {
    const std::filesystem::path folder = subject_.domain.folder() / "restored";
    subject_.must({"restore", point.id, "--disks-only", "--to", folder.string()});
    for (const auto& [target, disk] : point.instant.disks) {
      const std::string format = std::filesystem::exists(folder / (target + ".raw")) ? "raw" : "qcow2";
      EXPECT_EQ(rig::content_hash(folder / (target + "." + format), format), disk.hash) << target << " of " << point.id;
    }
    std::filesystem::remove_all(folder);
  }

  void end() {
    domain_.read_written();
    recover();
    merge_layers();
    domain_.expect_kept();
    for (const KnownPoints::Point& point : points_.all()) expect_content(point);
    subject_.must({"verify", "--read-data"});
  }

  Dice dice_;
  RestlessDomain domain_;
  ProtectedDomain& subject_;
  KnownPoints points_;
  unsigned steps_;
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
