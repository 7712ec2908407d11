// SPDX-License-Identifier: Apache-2.0
// A domain of which libvirt knows a checkpoint or a snapshot that another program made: it is backed up as any other,
// and theirs stays what it was.
#include <libvirt/virterror.h>

#include "base/handle.hpp"
#include "rig/icecore_run.hpp"
#include "system/job/change_map_case.hpp"

namespace icecore::system_test {
namespace {

class ForeignCheckpoint : public ChangeMapCase {
 protected:
  // Running, with a checkpoint as virtnbdbackup makes it.
  static void begin(ProtectedDomain& subject) {
    ChangeMapCase::begin(subject);
    const virDomainCheckpointPtr made =
        virDomainCheckpointCreateXML(subject.domain.handle(),
                                     "<domaincheckpoint><name>theirs</name><disks><disk name='vda' "
                                     "checkpoint='bitmap'/></disks></domaincheckpoint>",
                                     0);
    ASSERT_NE(made, nullptr) << virGetLastErrorMessage();
    virDomainCheckpointFree(made);
  }
  // Of the running domain: how many bytes libvirt says were written since.
  static std::uint64_t written_since(const ProtectedDomain& subject) {
    const virDomainCheckpointPtr theirs = virDomainCheckpointLookupByName(subject.domain.handle(), "theirs", 0);
    if (theirs == nullptr) return 0;
    const std::unique_ptr<char, decltype(&::free)> xml(
        virDomainCheckpointGetXMLDesc(theirs, VIR_DOMAIN_CHECKPOINT_XML_SIZE), &::free);
    virDomainCheckpointFree(theirs);
    const std::string text = xml ? xml.get() : "";
    const std::size_t at = text.find("size='");
    return at == std::string::npos ? 0 : std::stoull(text.substr(at + 6));
  }
};

TEST_F(ForeignCheckpoint, OfADomainThatRunsKnowsWhatWasWrittenInTheWindow) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name(), "--quiesce=off"}),
                         {{"ICECORE_FAILPOINTS", "backup.fact.reading=pause"}});
  backup.wait_failpoint();
  write(subject, 16 * k_mib, 0x44, k_mib);
  backup.go_on();
  EXPECT_EQ(backup.wait().exit_code, 0);
  subject.expect_at_rest();
  EXPECT_GE(written_since(subject), k_mib);
}

// libvirt itself makes no external snapshot of it.
TEST_F(ForeignCheckpoint, OfADomainThatIsOffIsNoHindrance) {
  ProtectedDomain subject({.disks = {{.target = "vda"}, {.target = "vdb", .image = {.format = "raw"}}}});
  begin(subject);
  write(subject, 8 * k_mib, 0x43, k_mib);
  subject.domain.destroy();
  const std::string definition = subject.definition();
  for (const std::string mode : {"--mode=copy", "--change-map=auto", "--change-map=layer"}) {
    SCOPED_TRACE(mode);
    subject.must({"explain", subject.domain.name(), mode});
    subject.must({"backup", subject.domain.name(), mode});
    EXPECT_EQ(subject.restored_hash("latest"), subject.domain.hash_disk());
    EXPECT_EQ(subject.restored_hash("latest", "vdb"), subject.domain.hash_disk("vdb"));
  }
  subject.must({"recover", subject.domain.name(), "--merge-layers"});
  subject.expect_at_rest();
  EXPECT_EQ(subject.definition(), definition);
  subject.domain.start_paused();
  EXPECT_GE(written_since(subject), k_mib);
}

TEST_F(ForeignCheckpoint, OfADomainThatIsStartedMeanwhileIsNone) {
  ProtectedDomain subject;
  begin(subject);
  subject.domain.destroy();
  const std::string instant = subject.domain.hash_disk();
  rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name()}),
                         {{"ICECORE_FAILPOINTS", "backup.fact.reading=pause"}});
  backup.wait_failpoint();
  subject.domain.start_paused();
  write(subject, 16 * k_mib, 0x44, k_mib);
  const std::string written = subject.domain.hash_disk();
  backup.go_on();
  const rig::IcecoreOutcome outcome = backup.wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  subject.expect_at_rest();
  EXPECT_EQ(subject.domain.hash_disk(), written);
  EXPECT_EQ(subject.restored_hash("latest"), instant);
}

TEST_F(ForeignCheckpoint, OfADomainThatIsOffSurvivesABackupThatIsKilled) {
  for (const std::string step : {"overlays_made", "acted.snapshotted", "fact.reading"}) {
    SCOPED_TRACE(step);
    ProtectedDomain subject;
    begin(subject);
    subject.domain.destroy();
    const std::string content = subject.domain.hash_disk();
    EXPECT_EQ(
        subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "backup." + step + "=kill"}}).exit_code,
        137);
    subject.must({"recover"});
    subject.expect_at_rest();
    EXPECT_EQ(subject.domain.hash_disk(), content);
  }
}

// While libvirt knows a snapshot it makes no checkpoint, and so no bitmap.
TEST_F(ForeignCheckpoint, AnInternalSnapshotThatLibvirtKnowsIsNoHindrance) {
  ProtectedDomain subject;
  begin(subject);
  subject.domain.destroy();
  const virDomainCheckpointPtr theirs = virDomainCheckpointLookupByName(subject.domain.handle(), "theirs", 0);
  ASSERT_EQ(virDomainCheckpointDelete(theirs, VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY), 0);
  virDomainCheckpointFree(theirs);
  const virDomainSnapshotPtr made =
      virDomainSnapshotCreateXML(subject.domain.handle(), "<domainsnapshot><name>users</name></domainsnapshot>", 0);
  ASSERT_NE(made, nullptr) << virGetLastErrorMessage();
  const base::ScopeExit gone([&] {
    virDomainSnapshotDelete(made, VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY);
    virDomainSnapshotFree(made);
  });
  for (const bool running : {false, true}) {
    SCOPED_TRACE(running);
    if (running) subject.domain.start_paused();
    subject.must({"backup", subject.domain.name(), "--quiesce=off"});
    EXPECT_EQ(subject.restored_hash("latest"), subject.domain.hash_disk());
    EXPECT_EQ(subject.domain.inactive_source(), subject.domain.disk_path());
  }
  EXPECT_NO_THROW(tool({"qemu-img", "snapshot", "-U", "-l", subject.domain.disk_path()}));
}

}  // namespace
}  // namespace icecore::system_test
