// SPDX-License-Identifier: Apache-2.0
// Overlays of a killed backup whose bases came into use without them: what the guest wrote last is there and nowhere
// else, so they are neither merged nor removed, however often it is tried, until a person has decided.
#include <gmock/gmock.h>

#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t k_mib = 1024 * 1024;
constexpr const char* k_left = "without what the guest wrote after the snapshot";

class OverlayLeft : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }

  // On overlays with something written to them; the backup is dead, and QEMU too.
  void die_in_the_window(rig::DomainOptions options, const std::vector<std::string>& more = {},
                         const std::string& place = "backup.fact.reading") {
    subject.emplace(std::move(options));
    subject->init();
    subject->domain.start_paused();
    std::vector<std::string> command = {"backup", subject->domain.name()};
    command.insert(command.end(), more.begin(), more.end());
    rig::IcecoreRun backup(subject->with_options(command), {{"ICECORE_FAILPOINTS", place + "=pause"}});
    backup.wait_failpoint();
    for (const auto& disk : disks) subject->domain.monitor_write(disk, 9 * k_mib, k_mib, 0x34);
    overlay = subject->domain.live_source(disks.back());
    newest = subject->domain.hash_disk(disks.back());
    subject->domain.kill_qemu();
    backup.kill();
  }
  // The backup is, when QEMU had just been given its base again.
  void die_after_the_pivot() {
    subject.emplace(rig::DomainOptions{});
    subject->init();
    rig::IcecoreRun backup(subject->with_options({"backup", subject->domain.name()}),
                           {{"ICECORE_FAILPOINTS", "backup.fact.reading=pause,commit.pivoted=kill"}});
    backup.wait_failpoint();
    subject->domain.start_paused();
    subject->domain.monitor_write("vda", 9 * k_mib, k_mib, 0x32);
    overlay = subject->domain.live_source();
    backup.go_on();
    EXPECT_EQ(backup.wait().exit_code, 137);
    ASSERT_EQ(subject->domain.live_source(), subject->domain.disk_path());
  }
  std::string told() const {
    const auto outcome = subject->run({"recover"});
    EXPECT_NE(outcome.exit_code, 0);
    return outcome.output + outcome.error_output;
  }
  std::string base_hash() const { return rig::content_hash(subject->domain.disk_path(disks.back()), "qcow2"); }
  std::string overlay_hash() const { return rig::content_hash(overlay, "qcow2"); }
  // As an administrator would with `virsh edit`.
  void define_on_base(const std::string& target) const { define_on(target, subject->domain.disk_path(target)); }
  void define_on(const std::string& target, const std::filesystem::path& image) const {
    std::string xml = subject->domain.inactive_xml();
    const std::string element = "<disk type='file'";
    const auto begin = xml.rfind(element, xml.find("<target dev='" + target + "'"));
    const auto source = xml.find("<source file=", begin);
    const auto end = xml.find("<target", begin);
    xml.replace(source, end - source, "<source file='" + image.string() + "'/>");
    const virDomainPtr defined = ::virDomainDefineXML(::virDomainGetConnect(subject->domain.handle()), xml.c_str());
    ASSERT_NE(defined, nullptr) << xml;
    ::virDomainFree(defined);
    ASSERT_EQ(subject->domain.inactive_source(target), image);
  }
  void remove_it_and_recover() {
    const std::string base = base_hash();
    std::filesystem::remove(overlay);
    subject->must({"recover"});
    EXPECT_EQ(base_hash(), base);
  }
  // A folder for overlays, which is away then, as before the file system it is on is mounted.
  void die_with_overlays_in(const rig::TestDomain& place, const std::string& when) {
    folder = place.folder() / "overlays";
    std::filesystem::create_directory(folder);
    std::filesystem::permissions(folder, std::filesystem::perms(0755));
    die_in_the_window(transient(), {"--overlay-dir", folder}, when);
    std::filesystem::rename(folder, folder.string() + ".away");
  }
  static rig::DomainOptions transient() {
    rig::DomainOptions options;
    options.transient = true;
    return options;
  }

  std::vector<std::string> disks = {"vda"};
  std::optional<ProtectedDomain> subject;
  std::filesystem::path overlay;  // of the last disk
  std::filesystem::path folder;   // that it is in
  std::string newest;             // what the guest saw on it last
};

// What manages it makes it anew from the definition it has.
TEST_F(OverlayLeft, ByATransientDomainThatIsMadeAnew) {
  die_in_the_window(transient());
  subject->domain.start_paused();
  EXPECT_THAT(told(), HasSubstr(k_left));
  EXPECT_THAT(told(), HasSubstr(k_left)) << "the second look";
  const auto backup = subject->run({"backup", subject->domain.name()});
  EXPECT_THAT(backup.error_output, HasSubstr(k_left));
  EXPECT_TRUE(std::filesystem::exists(overlay));
  subject->domain.monitor_write("vda", 0, k_mib, 0x35);
  subject->domain.kill_qemu();
  const std::string base = base_hash();
  EXPECT_THAT(told(), HasSubstr(k_left)) << "when it has ended";
  EXPECT_EQ(base_hash(), base);
  remove_it_and_recover();
}

// Nobody looked while it ran: only the base's time of writing tells.
TEST_F(OverlayLeft, ByATransientDomainThatCameAndWent) {
  die_in_the_window(transient());
  subject->domain.start_paused();
  subject->domain.monitor_write("vda", 0, k_mib, 0x35);
  subject->domain.kill_qemu();
  const std::string base = base_hash();
  for (int look = 0; look < 2; ++look) {
    EXPECT_THAT(told(), HasSubstr(k_left));
    EXPECT_EQ(base_hash(), base);
    EXPECT_TRUE(std::filesystem::exists(overlay));
  }
  remove_it_and_recover();
}

TEST_F(OverlayLeft, ByAnotherDomainThatTookTheBase) {
  die_in_the_window(transient());
  const std::string base = base_hash();
  rig::TestDomain other({.disks = {{.existing = subject->domain.disk_path()}}});
  for (int look = 0; look < 2; ++look) EXPECT_THAT(told(), HasSubstr(k_left));
  EXPECT_EQ(base_hash(), base);
  remove_it_and_recover();
}

TEST_F(OverlayLeft, ToAnotherDomainThatTookIt) {
  die_in_the_window(transient());
  {
    rig::TestDomain other({.disks = {{.existing = overlay}}});
    const std::string problem = told();
    EXPECT_THAT(problem, HasSubstr("is disk vda of domain '" + other.name()));
    EXPECT_THAT(problem, HasSubstr("--shallow")) << "what lies below the base may be others'";
    EXPECT_EQ(overlay_hash(), newest);
  }
  subject->must({"recover"});
  EXPECT_EQ(base_hash(), newest);
}

// The other disk is merged all the same.
TEST_F(OverlayLeft, OfOneDiskOfTwo) {
  disks = {"vda", "vdb"};
  die_in_the_window({.disks = {{.target = "vda"}, {.target = "vdb"}}});
  define_on_base(disks.back());
  for (int look = 0; look < 2; ++look) {
    EXPECT_THAT(told(), HasSubstr("disk 'vdb': its base"));
    EXPECT_EQ(subject->domain.inactive_source("vda"), subject->domain.disk_path("vda"));
    EXPECT_EQ(overlay_hash(), newest);
  }
  remove_it_and_recover();
  subject->expect_at_rest();
}

TEST_F(OverlayLeft, InAFolderThatIsAway) {
  const rig::TestDomain place;  // its folder is removed with it
  die_with_overlays_in(place, "backup.fact.reading");
  const std::string base = base_hash();
  for (int look = 0; look < 2; ++look) EXPECT_THAT(told(), HasSubstr("the domain is gone, and so is its overlay"));
  EXPECT_EQ(base_hash(), base);
  std::filesystem::rename(folder.string() + ".away", folder);
  subject->must({"recover"});
  EXPECT_EQ(base_hash(), newest);
  EXPECT_FALSE(std::filesystem::exists(overlay));
}

// The point may be all that is left. It is published once: who forgets it does not find it again.
TEST_F(OverlayLeft, KeepsNoPointBackAndIsClosedByAPerson) {
  const rig::TestDomain place;
  die_with_overlays_in(place, "backup.fact.sealed");
  EXPECT_THAT(told(), HasSubstr("publish restore point"));
  ASSERT_EQ(subject->points().size(), 1U);
  subject->must({"forget", subject->points().front(), "--even-last"});
  EXPECT_THAT(told(), Not(HasSubstr("publish restore point")));
  EXPECT_TRUE(subject->points().empty());
  EXPECT_EQ(subject->run({"recover", "--close"}).exit_code, 2);
  EXPECT_THAT(subject->must({"recover", subject->domain.uuid(), "--close"}).output, HasSubstr("recovered"));
  EXPECT_TRUE(subject->points().empty());
  EXPECT_THAT(subject->must({"recover"}).output, HasSubstr("nothing to recover"));
}

TEST_F(OverlayLeft, ByNobodyWhileTheDomainIsOnIt) {
  die_in_the_window({});
  const auto closed = subject->run({"recover", subject->domain.name(), "--close"});
  EXPECT_EQ(closed.exit_code, 3);
  EXPECT_THAT(closed.error_output, HasSubstr("is disk vda of domain '" + subject->domain.name()));
  subject->must({"recover"});
  EXPECT_EQ(base_hash(), newest);
  subject->expect_at_rest();
}

// What the guest wrote after a merge that came to nothing is in its overlay as before.
TEST_F(OverlayLeft, AfterAMergeWhoseEndFailed) {
  die_in_the_window({});
  const auto failed = subject->run({"recover"}, {{"ICECORE_FAILPOINTS", "return.redefining=error"}});
  EXPECT_EQ(failed.exit_code, 3) << failed.output;
  subject->domain.start_paused();
  subject->domain.monitor_write("vda", 0, k_mib, 0x36);
  subject->domain.kill_qemu();
  newest = overlay_hash();
  define_on_base("vda");
  for (int look = 0; look < 2; ++look) {
    EXPECT_THAT(told(), HasSubstr(k_left));
    EXPECT_EQ(overlay_hash(), newest);
  }
  remove_it_and_recover();
}

// libvirt writes the base into a definition at the pivot only where that has the chain it expects; we do it after that.
TEST_F(OverlayLeft, ByADomainThatWentOnWithItsBase) {
  for (const bool went_on : {true, false}) {
    die_after_the_pivot();
    if (went_on) subject->domain.monitor_write("vda", 9 * k_mib, k_mib, 0x33);
    subject->domain.kill_qemu();
    newest = base_hash();
    define_on("vda", overlay);
    for (int look = 0; look < 2 && went_on; ++look) {
      EXPECT_THAT(told(), HasSubstr("it is not known which"));
      EXPECT_EQ(base_hash(), newest) << "it is the newer";
    }
    if (went_on) define_on_base("vda");
    subject->must({"recover"});
    EXPECT_EQ(base_hash(), newest);
    subject->expect_at_rest();
  }
}

}  // namespace
}  // namespace icecore::system_test
