// SPDX-License-Identifier: Apache-2.0
// kill -9 of icecore at every step that kept layers add to a backup, with the domain running on, shut off, or started
// meanwhile: nothing the guest wrote is lost, nothing is left over, and the next points are right.
#include <gmock/gmock.h>

#include <algorithm>
#include <ostream>

#include "system/job/layer_case.hpp"

namespace icecore::system_test {
namespace {

enum class Domain { running, shut_off, stopped_afterwards };

struct Crash {
  std::string failpoint;
  Domain domain;
};

void PrintTo(const Crash& crash, std::ostream* out) { *out << crash.failpoint; }

std::string test_name(const testing::TestParamInfo<Crash>& info) {
  constexpr const char* k_names[] = {"_running", "_shut_off", "_stopped_afterwards"};
  std::string name = info.param.failpoint + k_names[static_cast<int>(info.param.domain)];
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

class LayerCrash : public LayerCase, public testing::WithParamInterface<Crash> {
 protected:
  static rig::Environment killed_at(const ProtectedDomain& subject, const std::string& failpoint) {
    rig::Environment environment = subject.environment;
    environment["ICECORE_FAILPOINTS"] = failpoint + "=kill";
    return environment;
  }
  // As the guest would, or past it, into the active image of a domain that is off.
  static void write_anyhow(ProtectedDomain& subject, std::uint64_t offset, unsigned char pattern) {
    if (subject.domain.is_running()) return write(subject, offset, pattern);
    rig::write_pattern(subject.domain.inactive_source(), "qcow2", offset, k_block, pattern);
  }
  static bool is_off() { return GetParam().domain == Domain::shut_off; }
};

TEST_P(LayerCrash, RecoverGoesForwards) {
  ProtectedDomain subject(one_disk("raw"));
  const std::string defined = subject.definition();
  begin_layers(subject);
  back_up_layer(subject);
  write(subject, 16 * k_mib, 0x22);
  if (is_off()) subject.domain.destroy();
  const std::string instant = subject.domain.hash_disk();
  const auto crashed =
      subject.run({"backup", subject.domain.name(), "--change-map=layer"}, killed_at(subject, GetParam().failpoint));
  ASSERT_EQ(crashed.exit_code, 137) << crashed.error_output;
  write_anyhow(subject, 20 * k_mib, 0x23);
  const std::string written = subject.domain.hash_disk();
  if (GetParam().domain == Domain::stopped_afterwards) subject.domain.destroy();

  subject.must({"recover"});
  EXPECT_EQ(subject.domain.hash_disk(), written) << "the guest lost what it wrote";
  expect_on_layer(subject);
  ASSERT_EQ(subject.points().size(), 2U);
  EXPECT_EQ(subject.restored_hash("latest"), instant) << "the point is not the instant of the snapshot";
  expect_layer(back_up_layer(subject), k_block);
  merge_layers(subject);
  EXPECT_EQ(subject.definition(), defined);
}

std::vector<Crash> after_sealed() {
  std::vector<Crash> crashes;
  for (const char* place : {"backup.fact.sealed", "backup.fact.committing", "layer.before_commit",
                            "layer.before_unlink", "layer.unlinked", "backup.fact.committed"}) {
    for (const Domain domain : {Domain::running, Domain::shut_off, Domain::stopped_afterwards})
      crashes.push_back({place, domain});
  }
  for (const char* place : {"layer.commit_begun", "layer.committed_live"}) {
    for (const Domain domain : {Domain::running, Domain::stopped_afterwards}) crashes.push_back({place, domain});
  }
  for (const char* place : {"layer.committed_offline", "layer.rebased"}) crashes.push_back({place, Domain::shut_off});
  return crashes;
}

INSTANTIATE_TEST_SUITE_P(EveryStep, LayerCrash, testing::ValuesIn(after_sealed()), test_name);

// Before that the new overlay goes back into the layer, which then tells of more.
class LayerCrashBefore : public LayerCrash {};

TEST_P(LayerCrashBefore, RecoverGoesBack) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  back_up_layer(subject);
  const auto layer = files(subject, ".layer.qcow2");
  write(subject, 16 * k_mib, 0x22);
  if (is_off()) subject.domain.destroy();
  const auto crashed =
      subject.run({"backup", subject.domain.name(), "--change-map=layer"}, killed_at(subject, GetParam().failpoint));
  ASSERT_EQ(crashed.exit_code, 137) << crashed.error_output;
  write_anyhow(subject, 20 * k_mib, 0x23);
  const std::string written = subject.domain.hash_disk();
  if (GetParam().domain == Domain::stopped_afterwards) subject.domain.destroy();
  subject.must({"recover"});
  EXPECT_EQ(files(subject, ".layer.qcow2"), layer);
  EXPECT_EQ(subject.domain.hash_disk(), written) << "the guest lost what it wrote";
  EXPECT_EQ(subject.points().size(), 1U);
  expect_layer(back_up_layer(subject), 2 * k_block);
}

std::vector<Crash> before_sealed() {
  std::vector<Crash> crashes;
  for (const char* place : {"backup.fact.planned", "backup.fact.snapshotted", "backup.acted.sealed"}) {
    for (const Domain domain : {Domain::running, Domain::shut_off, Domain::stopped_afterwards})
      crashes.push_back({place, domain});
  }
  return crashes;
}

INSTANTIATE_TEST_SUITE_P(EveryStep, LayerCrashBefore, testing::ValuesIn(before_sealed()), test_name);

// The end of the layers, cut short.
class LayerEndCrash : public LayerCrash {};

TEST_P(LayerEndCrash, RecoverFinishesIt) {
  ProtectedDomain subject(one_disk("raw"));
  const std::string defined = subject.definition();
  begin_layers(subject);
  back_up_layer(subject);
  write(subject, 16 * k_mib, 0x22);
  if (is_off()) subject.domain.destroy();
  const std::string written = subject.domain.hash_disk();
  const auto crashed =
      subject.run({"recover", subject.domain.name(), "--merge-layers"}, killed_at(subject, GetParam().failpoint));
  ASSERT_EQ(crashed.exit_code, 137) << crashed.error_output;
  if (GetParam().domain == Domain::stopped_afterwards) subject.domain.destroy();
  subject.must({"recover"});
  EXPECT_EQ(subject.domain.hash_disk(), written);
  EXPECT_EQ(subject.definition(), defined);
  EXPECT_TRUE(files(subject, ".layer.qcow2").empty());
  subject.expect_at_rest();
}

std::vector<Crash> while_ending() {
  std::vector<Crash> crashes;
  for (const char* place : {"merge.fact.planned", "merge.intent.committed", "return.before_unlink",
                            "merge.acted.committed", "merge.fact.committed"}) {
    for (const Domain domain : {Domain::running, Domain::shut_off, Domain::stopped_afterwards})
      crashes.push_back({place, domain});
  }
  return crashes;
}

INSTANTIATE_TEST_SUITE_P(EveryStep, LayerEndCrash, testing::ValuesIn(while_ending()), test_name);

class LayerOfADomainThatIsGone : public LayerCase {
 protected:
  // Its second backup is sealed; its disk is on two layers over its home, which nobody has.
  void die() {
    subject.emplace(one_disk("qcow2"));
    begin_layers(*subject);
    back_up_layer(*subject);
    write(*subject, 16 * k_mib, 0x22);
    rig::Environment environment = subject->environment;
    environment["ICECORE_FAILPOINTS"] = "backup.fact.sealed=kill";
    ASSERT_EQ(subject->run({"backup", subject->domain.name(), "--change-map=layer"}, environment).exit_code, 137);
    write(*subject, 20 * k_mib, 0x23);
    written = subject->domain.hash_disk();
    active = subject->domain.live_source();
    subject->domain.destroy();
    ASSERT_EQ(::virDomainUndefine(subject->domain.handle()), 0);
  }
  std::string home_hash() const { return rig::content_hash(subject->domain.disk_path(), "qcow2"); }
  void expect_refused(const std::string& why) const {
    const std::string home = home_hash();
    const std::string layers = rig::content_hash(active, "qcow2");
    for (int look = 0; look < 2; ++look) {
      const auto outcome = subject->run({"recover"});
      EXPECT_EQ(outcome.exit_code, 3);
      EXPECT_THAT(outcome.error_output, testing::HasSubstr(why));
      EXPECT_EQ(home_hash(), home);
      EXPECT_EQ(rig::content_hash(active, "qcow2"), layers);
    }
    EXPECT_EQ(subject->points().size(), 2U) << "the point is whole";
  }

  std::optional<ProtectedDomain> subject;
  std::filesystem::path active;
  std::string written;
};

TEST_F(LayerOfADomainThatIsGone, IsMerged) {
  die();
  subject->must({"recover"});
  EXPECT_EQ(rig::content_hash(active, "qcow2"), written);
  EXPECT_EQ(image_below(active), subject->domain.disk_path());
}

TEST_F(LayerOfADomainThatIsGone, IsNotWhereAnotherHasTheHome) {
  die();
  rig::TestDomain other({.disks = {{.existing = subject->domain.disk_path()}}});
  expect_refused("is in use by another");
}

TEST_F(LayerOfADomainThatIsGone, IsNotWhereAnotherWroteToTheHome) {
  die();
  {
    rig::TestDomain other({.disks = {{.existing = subject->domain.disk_path()}}});
    other.start_paused();
    other.monitor_write("vda", 0, k_mib, 0x44);
    other.destroy();
  }
  expect_refused("was written to since the snapshot");
  subject->must({"recover", subject->domain.uuid(), "--close"});
  EXPECT_THAT(subject->must({"recover"}).output, testing::HasSubstr("nothing to recover"));
}

class LayerMeanwhile : public LayerCase {
 protected:
  // A backup that waits at `place`, where `act` changes the domain, and then has to end well.
  template <typename Act>
  static void back_up_with(ProtectedDomain& subject, const std::string& place, Act&& act) {
    const std::string instant = subject.domain.hash_disk();
    rig::Environment environment = subject.environment;
    environment["ICECORE_FAILPOINTS"] = place + "=pause";
    rig::IcecoreRun run(subject.with_options({"backup", subject.domain.name(), "--change-map=layer"}), environment);
    run.wait_failpoint();
    act();
    const std::string written = subject.domain.hash_disk();
    run.go_on();
    const auto outcome = run.wait();
    ASSERT_EQ(outcome.exit_code, 0) << outcome.error_output;
    EXPECT_EQ(subject.restored_hash("latest"), instant);
    EXPECT_EQ(subject.domain.hash_disk(), written);
    expect_on_layer(subject);
    expect_layer(back_up_layer(subject), k_block);
  }
};

TEST_F(LayerMeanwhile, TheDomainIsShutOff) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  back_up_layer(subject);
  write(subject, 16 * k_mib, 0x22);
  for (const char* place : {"layer.before_commit", "layer.commit_begun", "layer.committed_live"}) {
    SCOPED_TRACE(place);
    back_up_with(subject, place, [&] {
      write(subject, 20 * k_mib, 0x23);
      subject.domain.destroy();
    });
    subject.domain.start_paused();
  }
}

TEST_F(LayerMeanwhile, TheDomainIsStarted) {
  ProtectedDomain subject(one_disk("raw"));
  begin_layers(subject);
  back_up_layer(subject);
  write(subject, 16 * k_mib, 0x22);
  for (const char* place : {"layer.before_commit", "layer.committed_offline", "layer.rebased"}) {
    SCOPED_TRACE(place);
    subject.domain.destroy();
    back_up_with(subject, place, [&] {
      subject.domain.start_paused();
      write(subject, 20 * k_mib, 0x23);
    });
  }
}

// A job that failed once its overlays were merged and removed, and a layer that a later backup put over their bases: it
// is finished all the same. A copy leaves the disk on its layer, which the later backup merges.
TEST_F(LayerMeanwhile, ALaterBackupKeepsALayerWhereAnEarlierJobIsNotFinished) {
  for (const std::string earlier : {"--change-map=scan", "--mode=copy"}) {
    for (const bool is_off : {false, true}) {
      SCOPED_TRACE(earlier + (is_off ? ", shut off" : ""));
      ProtectedDomain subject(one_disk("raw"));
      begin_layers(subject);
      if (earlier == "--mode=copy") back_up_layer(subject);
      if (is_off) subject.domain.destroy();
      const std::vector<std::string> words = {"backup", subject.domain.name(), "--quiesce=off"};
      std::vector<std::string> crashing = words;
      crashing.push_back(earlier);
      ASSERT_EQ(subject.run(crashing, {{"ICECORE_FAILPOINTS", "backup.acted.committing=kill"}}).exit_code, 137);
      std::vector<std::string> keeping = words;
      keeping.push_back("--change-map=layer");
      const auto kept = subject.must(keeping, {{"ICECORE_FAILPOINTS", "layer.before_unlink=error"}});
      EXPECT_THAT(kept.error_output, testing::HasSubstr("an earlier job is not finished"));
      subject.must({"recover"});
      expect_on_layer(subject);
      back_up_layer(subject);
      merge_layers(subject);
    }
  }
}

}  // namespace
}  // namespace icecore::system_test
