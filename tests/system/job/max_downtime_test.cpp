// SPDX-License-Identifier: Apache-2.0
// A guest that is saved live is given a short downtime limit meanwhile, and its own again afterwards, or when it writes
// so much that the save would not end.
#include "system/job/max_downtime.hpp"
#include "rig/guest.hpp"
#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

class MaxDowntime : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore", "guest"); }
};

// A later migration is to be as its owner has set it.
TEST_F(MaxDowntime, TheDomainsOwnIsPutBack) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start();
  for (const unsigned long long own : {20U, 250U}) {
    ASSERT_EQ(virDomainMigrateSetMaxDowntime(subject.domain.handle(), own, 0), 0);
    for (const char* how : {"--live", "--pause"}) {
      subject.must({"backup", subject.domain.name(), "--full-state", how});
      EXPECT_EQ(max_downtime_of(subject.domain), own);
    }
  }
  const auto failed = subject.run({"backup", subject.domain.name(), "--full-state", "--live"},
                                  {{"ICECORE_FAILPOINTS", "backup.memory_progress=error"}});
  EXPECT_NE(failed.exit_code, 0);
  EXPECT_EQ(max_downtime_of(subject.domain), 250U);
  subject.expect_at_rest();
}

rig::DomainOptions with_room_to_write() {
  rig::DomainOptions options;
  options.memory_mib = 192;
  return options;
}

// From when the first of it is saved, no more than so much a second is: in the short time less than the guest writes.
rig::IcecoreOutcome save_slowly(const ProtectedDomain& subject, unsigned long mib_a_second) {
  rig::Environment environment = subject.environment;
  environment["ICECORE_FAILPOINTS"] = "backup.memory_progress=pause";
  rig::IcecoreRun run(subject.with_options({"backup", subject.domain.name(), "--full-state", "--live"}), environment);
  run.wait_failpoint();
  virDomainMigrateSetMaxSpeed(subject.domain.handle(), mib_a_second, 0);  // unless it has been saved already
  run.go_on();
  return run.wait();
}

// With the short limit it would be given up as one that writes faster than it can be saved.
TEST_F(MaxDowntime, AGuestThatWritesMuchIsGivenItsOwnMeanwhile) {
  ProtectedDomain subject(with_room_to_write());
  subject.init();
  subject.domain.start();
  rig::Guest guest(subject.domain);
  guest.wait_agent();
  guest.shell("dd if=/dev/urandom of=/run/noise bs=1M count=32");
  guest.shell("setsid sh -c 'while :; do cp /run/noise /run/copy; done' >/dev/null 2>&1 </dev/null &");
  constexpr unsigned long long k_own_ms = 10'000;
  constexpr int k_slow_ms = 2'000;
  ASSERT_EQ(virDomainMigrateSetMaxDowntime(subject.domain.handle(), k_own_ms, 0), 0);
  int saved_ms = 0;
  for (int round = 0; round < 5 && saved_ms < k_slow_ms; ++round) {
    const rig::IcecoreOutcome outcome = save_slowly(subject, 32);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.error_output;
    saved_ms = subject.must({"show", "latest", "--json"}).json().at("snapshot_ms").get<int>();
    fmt::print("saved in {} ms\n", saved_ms);
    EXPECT_EQ(max_downtime_of(subject.domain), k_own_ms);
  }
  EXPECT_GE(saved_ms, k_slow_ms) << "it was saved within its first look, each time";
  subject.expect_at_rest();
}

}  // namespace
}  // namespace icecore::system_test
