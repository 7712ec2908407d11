// SPDX-License-Identifier: Apache-2.0
// Disks that a running domain has and its definition for the next start has not, or the other way round.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/process.hpp"
#include "rig/requirements.hpp"
#include "system/job/expect_error.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;
using testing::Not;

class NextStart : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }

  // Of SCSI a domain takes disks whose guest does not run.
  static rig::DomainOptions with_room_for_disks() {
    rig::DomainOptions options;
    options.devices_xml = "<controller type='scsi' model='virtio-scsi'/>";
    return options;
  }
  static std::filesystem::path image_of(const ProtectedDomain& subject) {
    return subject.domain.folder() / "sda.qcow2";
  }
  static void begin(ProtectedDomain& subject) {
    subject.init();
    subject.domain.start_paused();
    rig::make_image(image_of(subject), {});
  }
  // As a person would type it.
  static std::string command(const ProtectedDomain& subject, const std::string& where) {
    return fmt::format("virsh attach-disk {} --targetbus scsi --subdriver qcow2 {} {} sda", where,
                       subject.domain.name(), image_of(subject).string());
  }
  static void attach(const ProtectedDomain& subject, const std::string& where) {
    const std::string typed = "VIRSH_DEFAULT_CONNECT_URI='" + subject.domain.uri() + "' " + command(subject, where);
    base::run_checked({.arguments = {"sh", "-c", typed}}, std::chrono::seconds(30));
  }
};

TEST_F(NextStart, ADiskAttachedLiveAloneIsTakenOnceItIsAttachedAsTold) {
  ProtectedDomain subject(with_room_for_disks());
  begin(subject);
  attach(subject, "--live");
  const auto refused = subject.run({"backup", subject.domain.name()});
  expect_error(refused, 10, "next start would be without it");
  EXPECT_THAT(refused.error_output, HasSubstr(command(subject, "--config")));
  EXPECT_THAT(refused.error_output, HasSubstr("--exclude-disk sda"));
  const auto with_memory = subject.run({"backup", subject.domain.name(), "--full-state"});
  expect_error(with_memory, 10, "next start would be without it");
  EXPECT_THAT(with_memory.error_output, Not(HasSubstr("exclude"))) << "it would be refused next";

  attach(subject, "--config");
  subject.must({"backup", subject.domain.name()});
  EXPECT_EQ(subject.must({"show", "latest", "--json"}).json().at("disks").size(), 2U);
  EXPECT_EQ(subject.domain.live_source("sda"), image_of(subject));
  subject.expect_at_rest();
}

TEST_F(NextStart, ADiskOfTheNextStartAloneIsInNoPointAndToldHereAndThere) {
  constexpr const char* k_reason = "it is only in the definition for the next start";
  ProtectedDomain subject(with_room_for_disks());
  begin(subject);
  attach(subject, "--config");
  const std::string defined = subject.definition();
  const base::Json told = subject.must({"explain", subject.domain.name(), "--json"}).json().at("disks");
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[1].at("target"), "sda");
  EXPECT_EQ(told[1].at("verdict"), "skip");
  EXPECT_EQ(told[1].at("reason"), k_reason);

  const base::Json done = subject.must({"backup", subject.domain.name(), "--json"}).json().at("results")[0];
  EXPECT_THAT(done.at("notes").dump(), HasSubstr(std::string("disk 'sda' is skipped: ") + k_reason));
  const base::Json point = subject.must({"show", "latest", "--json"}).json();
  ASSERT_EQ(point.at("disks").size(), 1U);
  ASSERT_EQ(point.at("skipped").size(), 1U);
  EXPECT_EQ(point.at("skipped")[0].at("target"), "sda");
  EXPECT_EQ(subject.definition(), defined);
  subject.expect_at_rest();
}

}  // namespace
}  // namespace icecore::system_test
