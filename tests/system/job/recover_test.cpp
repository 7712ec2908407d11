// SPDX-License-Identifier: Apache-2.0
// What recover says before it does it.
#include <gmock/gmock.h>

#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;

class Recover : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }
};

TEST_F(Recover, ADryRunTellsAllAndChangesNothing) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  EXPECT_THAT(subject.must({"recover", "--dry-run"}).output, HasSubstr("nothing to recover"));
  subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "backup.fact.sealed=kill"}});
  const std::string overlay = subject.domain.live_source();
  EXPECT_NE(overlay, subject.domain.disk_path());
  for (int time = 0; time < 2; ++time) {
    const auto dry = subject.must({"recover", "--dry-run"});
    EXPECT_THAT(dry.output, HasSubstr("merge '" + overlay + "' into '" + subject.domain.disk_path().string() + "'"));
    EXPECT_THAT(dry.output, HasSubstr("publish restore point"));
    EXPECT_EQ(subject.domain.live_source(), overlay);
    EXPECT_TRUE(subject.points().empty());
  }
  const base::Json done = subject.must({"recover", "--json"}).json();
  ASSERT_EQ(done.at("jobs").size(), 1U);
  EXPECT_EQ(done.at("jobs")[0].at("finished"), true);
  EXPECT_EQ(done.at("jobs")[0].at("problem"), "");
  EXPECT_EQ(subject.points().size(), 1U);
  subject.expect_at_rest();
}

}  // namespace
}  // namespace icecore::system_test
