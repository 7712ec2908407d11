// SPDX-License-Identifier: Apache-2.0
// A long, seeded series of whatever may happen to a domain and its backups: all that a RestlessDomain does, backups of
// all its disks or some in every mode, with its memory or without, with writes inside their window, failures, crashes
// at any step, forgets and prunes, killed or not, restores beside it and in its place. What the disks held at the
// instant of each point is remembered, and every point that is left must give it back, byte for byte. Nor do the disks
// themselves ever lose anything: after each step that works on them they are read, and hold what they held, but for
// what was written to them.
//
// ICECORE_SEQUENCE_SEED and ICECORE_SEQUENCE_STEPS choose another series, or a longer one. A seed means the same series
// for as long as kinds() and what the steps ask of the dice stay as they are.
#include <gtest/gtest.h>
#include <libvirt/virterror.h>

#include <algorithm>
#include <cstdlib>

#include "rig/requirements.hpp"
#include "system/job/chosen_backup.hpp"
#include "system/job/known_points.hpp"
#include "system/job/restless_domain.hpp"

namespace icecore::system_test {
namespace {

using Instant = RestlessDomain::Instant;

constexpr int k_steps = 100;

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
    subject_.domain.undo().domain(copy_name());
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
        {"forget that is killed", 2, Disks::untouched, [](Series& series) { series.kill_forget(); }},
        {"prune", 4, Disks::untouched, [](Series& series) { series.prune(); }},
        {"prune that is killed", 2, Disks::untouched, [](Series& series) { series.kill_prune(); }},
        {"restore", 5, Disks::untouched, [](Series& series) { series.restore_any(); }},
        {"restore as another", 2, Disks::untouched, [](Series& series) { series.restore_as_another(); }},
        {"restore in place", 3, Disks::kept, [](Series& series) { series.restore_in_place(); }}};
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

  // ---- backups
  rig::IcecoreOutcome run(const ChosenBackup& backup, const rig::Environment& environment = {}) {
    if (backup.takes_memory) domain_.run_vcpus(true);
    rig::IcecoreOutcome outcome = subject_.run(backup.words, environment);
    if (backup.takes_memory) domain_.run_vcpus(false);
    return outcome;
  }

  void back_up() {
    const ChosenBackup backup = choose_whole_backup(dice_, domain_);
    const Instant now = domain_.instant_of(backup.targets);
    expect_point(run(backup), now, backup);
  }

  // The guest writes, is killed, or is started, while its frozen disks are read.
  void back_up_busily() {
    static const std::vector<std::string> places = {"acted.snapshotted", "fact.thawed", "fact.reading",
                                                    "intent.sealed",     "fact.sealed", "intent.committing"};
    const std::string place = "backup." + dice_.one_of(places);
    dice_.tell(" {}", place);
    const ChosenBackup backup = choose_backup(dice_, domain_);
    const Instant now = domain_.instant_of(backup.targets);
    rig::Environment environment = subject_.environment;
    environment["ICECORE_FAILPOINTS"] = place + "=pause";
    rig::IcecoreRun run(subject_.with_options(backup.words), environment);
    run.wait_failpoint();
    if (!subject_.domain.is_running() && dice_.below(2) == 0) subject_.domain.start_paused();
    for (std::uint64_t writes = dice_.below(4); writes > 0 && subject_.domain.is_running(); --writes) domain_.write();
    domain_.read_written();
    if (subject_.domain.is_running() && dice_.below(4) == 0) {
      dice_.tell(" killed");
      subject_.domain.kill_qemu();
    }
    run.go_on();
    expect_point(run.wait(), now, backup);
  }

  void expect_point(const rig::IcecoreOutcome& outcome, const Instant& now, const ChosenBackup& backup) {
    EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
    EXPECT_TRUE(points_.note(now)) << "there is no new point";
    EXPECT_FALSE(points_.has_open_job());
    backup.may_leave_layers ? expect_settled() : subject_.expect_at_rest();
  }

  // A killed one that was sealed is published by the next recovery, hence before any later one. An error after the
  // point is sealed leaves the job to recover, which may then be the next backup's first step.
  void interrupt_backup(const std::string& action) {
    const ChosenFailpoint failpoint = choose_failpoint(dice_);
    dice_.tell(" {}", failpoint.name);
    const ChosenBackup backup = choose_whole_backup(dice_, domain_);
    const Instant now = domain_.instant_of(backup.targets);
    const rig::IcecoreOutcome outcome = run(backup, {{"ICECORE_FAILPOINTS", failpoint.name + "=" + action}});
    EXPECT_TRUE(outcome.exit_code != 0 || !failpoint.is_passed_by_all);
    points_.note(now);
  }

  // A point that waits for its recovery may have lost blocks to a forget and a prune without grace: that is told, and
  // ends its job. Every other one that was complete is published.
  void must_recover(std::vector<std::string> words) {
    const rig::IcecoreOutcome outcome = subject_.run(std::move(words));
    const bool lost = points_.may_have_lost_one() && outcome.exit_code == 3 &&
                      outcome.error_output.find("cannot be published: a prune removed") != std::string::npos;
    EXPECT_TRUE(outcome.exit_code == 0 || lost) << outcome.error_output << outcome.output;
    expect_recovered();
  }

  void expect_recovered() {
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

  // Of a UUID that is gone it may be the last.
  static std::vector<std::string> forget_words(const std::string& id) { return {"forget", id, "--even-last"}; }
  static std::vector<std::string> prune_words() { return {"prune", "--grace=0s", "--rewrite-below=80"}; }

  void forget() {
    if (points_.all().size() < 3) return;
    const std::string id = any_point().id;
    dice_.tell(" {}", id.substr(0, 8));
    subject_.must(forget_words(id));
    points_.forget(id);
  }

  // Before the point went it is forgotten once more.
  void kill_forget() {
    if (points_.all().size() < 3) return;
    const std::string id = any_point().id;
    const bool is_gone = dice_.below(2) == 0;
    const std::string place = is_gone ? "repository.forgotten" : "repository.before_forget";
    dice_.tell(" {} {}", id.substr(0, 8), place);
    const rig::IcecoreOutcome killed = subject_.run(forget_words(id), {{"ICECORE_FAILPOINTS", place + "=kill"}});
    EXPECT_EQ(killed.exit_code, 137) << killed.error_output;
    const std::vector<std::string> listed = subject_.points();
    EXPECT_EQ(std::count(listed.begin(), listed.end(), id), is_gone ? 0 : 1);
    if (!is_gone) subject_.must(forget_words(id));
    points_.forget(id);
  }

  void prune() {
    subject_.must(prune_words());
    points_.note_prune();
  }

  // Where it comes to that; then another one follows, or whatever comes next has what it left to cope with.
  void kill_prune() {
    static const std::vector<std::string> places = {
        "prune.marked",        "repository.pack_written", "maintenance.index_written", "prune.index_written",
        "prune.index_removed", "prune.sweeping",          "prune.pack_deleted",        "prune.mark_removed"};
    const std::string place = dice_.one_of(places);
    dice_.tell(" {}", place);
    const rig::IcecoreOutcome killed = subject_.run(prune_words(), {{"ICECORE_FAILPOINTS", place + "=kill"}});
    EXPECT_TRUE(killed.exit_code == 137 || killed.exit_code == 0) << killed.error_output << killed.output;
    points_.note_prune();
    if (dice_.below(2) == 0) prune();
  }

  // ---- restores
  void restore_any() {
    if (!points_.all().empty()) expect_content(any_point());
  }

  // As a domain beside it.
  void restore_as_another() {
    if (points_.all().empty()) return;
    const KnownPoints::Point& point = any_point();
    const std::filesystem::path folder = subject_.domain.folder() / "copy";
    subject_.must({"restore", point.id, "--as", copy_name(), "--to", folder, "--verify", "--discard-memory"});
    expect_images(point, (folder / copy_name()).string() + ".");
    const virDomainPtr copy =
        ::virDomainLookupByName(::virDomainGetConnect(subject_.domain.handle()), copy_name().c_str());
    ASSERT_NE(copy, nullptr) << ::virGetLastErrorMessage();
    EXPECT_EQ(::virDomainUndefine(copy), 0) << ::virGetLastErrorMessage();
    ::virDomainFree(copy);
    std::filesystem::remove_all(folder);
  }
  std::string copy_name() const { return subject_.domain.name() + "-copy"; }

  // In its place. A disk that the point does not have, or not of that image, would stay or be left out: such a point is
  // not taken. What an interrupted backup left is recovered first.
  void restore_in_place() {
    std::vector<KnownPoints::Point> fitting;
    for (const KnownPoints::Point& point : points_.all()) {
      if (domain_.is_laid_out_as(point.instant)) fitting.push_back(point);
    }
    if (fitting.empty()) return;
    const KnownPoints::Point& point = dice_.one_of(fitting);
    dice_.tell(" {} of {}", point.id.substr(0, 8), fitting.size());
    subject_.domain.destroy();
    subject_.must({"restore", point.id, "--replace", "--discard-memory"});
    expect_recovered();
    domain_.note_restored(point.instant);
    subject_.expect_at_rest();
  }

  void expect_content(const KnownPoints::Point& point) {
    const std::filesystem::path folder = subject_.domain.folder() / "restored";
    subject_.must({"restore", point.id, "--disks-only", "--to", folder.string()});
    expect_images(point, folder.string() + "/");
    std::filesystem::remove_all(folder);
  }

  static void expect_images(const KnownPoints::Point& point, const std::string& prefix) {
    for (const auto& [target, disk] : point.instant.disks) {
      const std::string path = prefix + target + ".";
      const std::string format = std::filesystem::exists(path + "raw") ? "raw" : "qcow2";
      EXPECT_EQ(rig::content_hash(path + format, format), disk.hash) << target << " of " << point.id;
    }
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
