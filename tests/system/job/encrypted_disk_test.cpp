// SPDX-License-Identifier: Apache-2.0
// Disks that QEMU encrypts (LUKS in qcow2), on a real libvirt with real secrets: stored as the file they are, with
// nothing of the guest's in the clear at any time, and back as they were.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>

#include "rig/loop_device.hpp"
#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

constexpr std::uint64_t k_mib = 1024 * 1024;
constexpr unsigned char k_pattern = 0x5a;

rig::DiskOptions encrypted(const std::string& target = "vda") {
  return {.target = target, .image = {.size = 16 * k_mib, .passphrase = "correct horse " + target}};
}

rig::DomainOptions with_disks(std::vector<rig::DiskOptions> disks) {
  rig::DomainOptions options;
  options.disks = std::move(disks);
  return options;
}

rig::Environment at_failpoint(const std::string& what) { return {{"ICECORE_FAILPOINTS", what}}; }

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

// A sector of what the test writes is in none of the domain's files: images, overlays, repository, staging, state.
void expect_nothing_in_the_clear(const ProtectedDomain& subject) {
  const std::string sector(512, static_cast<char>(k_pattern));
  for (const auto& file : std::filesystem::recursive_directory_iterator(subject.domain.folder())) {
    if (!file.is_regular_file()) continue;
    EXPECT_EQ(bytes_of(file.path()).find(sector), std::string::npos) << file.path();
    EXPECT_EQ(bytes_of(file.path()).find("correct horse"), std::string::npos) << file.path();
  }
}

class EncryptedDisk : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }

  static void expect_refused(const ProtectedDomain& subject, const std::vector<std::string>& words, int exit_code,
                             const std::string& part) {
    const auto outcome = subject.run(words);
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.error_output << outcome.output;
    EXPECT_NE(outcome.error_output.find(part), std::string::npos) << outcome.error_output;
  }
  static std::uint64_t snapshot_ms(const ProtectedDomain& subject) {
    return subject.must({"show", "latest", "--json"}).json().at("snapshot_ms");
  }
};

TEST_F(EncryptedDisk, OfARunningDomainIsStoredAsTheFileItIs) {
  rig::DiskOptions disk = encrypted();
  disk.secret_by_usage = true;
  ProtectedDomain subject(with_disks({disk}));
  subject.init();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 3 * k_mib, k_mib, k_pattern);
  const std::string defined = subject.definition();
  const std::string before = subject.domain.hash_disk();

  rig::IcecoreRun run(subject.with_options({"backup", subject.domain.name(), "--staging-dir", subject.staging()}),
                      at_failpoint("backup.fact.reading=pause"));
  run.wait_failpoint();
  subject.domain.monitor_write("vda", 5 * k_mib, k_mib, k_pattern);
  const std::string meanwhile = subject.domain.hash_disk();
  EXPECT_NE(subject.domain.live_source(), subject.domain.disk_path());
  expect_nothing_in_the_clear(subject);
  run.go_on();
  const auto outcome = run.wait();
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error_output;

  expect_nothing_in_the_clear(subject);
  EXPECT_EQ(subject.restored_hash("latest"), before);
  EXPECT_EQ(subject.domain.hash_disk(), meanwhile);
  EXPECT_EQ(subject.definition(), defined);
  subject.expect_at_rest();
  const base::Json point = subject.must({"show", "latest", "--json"}).json();
  EXPECT_EQ(point.at("disks").at(0).at("content"), "file");
  EXPECT_EQ(point.at("disks").at(0).at("change_map"), "scan");
  EXPECT_EQ(point.at("disks").at(0).at("virtual_size"), 16 * k_mib);
  subject.must({"verify", "--read-data=100"});
}

TEST_F(EncryptedDisk, OfAShutOffDomainMayBeStartedMeanwhile) {
  ProtectedDomain subject(with_disks({encrypted(), {.target = "vdb", .image = {.format = "raw", .size = 8 * k_mib}}}));
  subject.init();
  const std::string defined = subject.definition();
  const std::string before = subject.domain.hash_disk();
  subject.must({"backup", subject.domain.name()});
  EXPECT_EQ(subject.definition(), defined) << "after an offline merge";
  subject.expect_at_rest();

  rig::IcecoreRun run(subject.with_options({"backup", subject.domain.name()}),
                      at_failpoint("backup.fact.reading=pause"));
  run.wait_failpoint();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 9 * k_mib, k_mib, k_pattern);
  subject.domain.monitor_write("vdb", 1 * k_mib, k_mib, 0x33);
  const std::string meanwhile = subject.domain.hash_disk();
  const std::string plain_meanwhile = subject.domain.hash_disk("vdb");
  expect_nothing_in_the_clear(subject);
  run.go_on();
  const auto outcome = run.wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  EXPECT_EQ(subject.restored_hash("latest"), before);
  EXPECT_EQ(subject.domain.hash_disk(), meanwhile);
  EXPECT_EQ(subject.domain.hash_disk("vdb"), plain_meanwhile);
  EXPECT_EQ(subject.definition(), defined) << "after a live merge";
  subject.expect_at_rest();
}

TEST_F(EncryptedDisk, BesideAPlainOneIsOfTheSameInstantAndFrozenForHardlyLonger) {
  ProtectedDomain subject(with_disks({{.target = "vda", .image = {.size = 16 * k_mib}}, encrypted("vdb")}));
  subject.init();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 3 * k_mib, k_mib, 0x21);
  subject.domain.monitor_write("vdb", 3 * k_mib, k_mib, k_pattern);
  const std::string plain = subject.domain.hash_disk("vda");
  const std::string secret = subject.domain.hash_disk("vdb");
  subject.must({"backup", subject.domain.name(), "--exclude-disk", "vdb"});
  const std::uint64_t without = snapshot_ms(subject);
  subject.must({"backup", subject.domain.name()});
  const std::uint64_t with = snapshot_ms(subject);
  std::cout << "snapshot: " << without << " ms without the encrypted disk, " << with << " ms with it\n";
  EXPECT_LT(with, without + 1000) << "the overlay is made or stretched within the frozen window";
  EXPECT_EQ(subject.restored_hash("latest", "vda"), plain);
  EXPECT_EQ(subject.restored_hash("latest", "vdb"), secret);
  // The plain one goes on by its bitmap, though we have made its overlay.
  subject.domain.monitor_write("vda", 8 * k_mib, k_mib, 0x22);
  const std::string later = subject.domain.hash_disk("vda");
  subject.must({"backup", subject.domain.name()});
  const base::Json disks = subject.must({"show", "latest", "--json"}).json().at("disks");
  EXPECT_EQ(disks.at(0).at("change_map"), "bitmap") << disks.dump();
  EXPECT_EQ(disks.at(1).at("change_map"), "scan");
  EXPECT_EQ(disks.at(1).at("bytes_new"), 0) << "what has not changed takes no room";
  EXPECT_EQ(subject.restored_hash("latest", "vda"), later);
  subject.expect_at_rest();
}

// An overlay of the size that was planned would end before its base: the guest could not write there.
TEST_F(EncryptedDisk, BesideOneThatIsGrownBeforeTheOverlaysAreMade) {
  ProtectedDomain subject(with_disks({encrypted(), {.target = "vdb"}}));
  subject.init();
  subject.domain.start_paused();
  rig::IcecoreRun run(subject.with_options({"backup", subject.domain.name()}),
                      at_failpoint("backup.fact.planned=pause,backup.fact.reading=pause"));
  run.wait_failpoint();
  ASSERT_EQ(::virDomainBlockResize(subject.domain.handle(), "vdb", 96 * k_mib, VIR_DOMAIN_BLOCK_RESIZE_BYTES), 0);
  run.go_on();
  run.wait_failpoint();
  subject.domain.monitor_write("vdb", 90 * k_mib, k_mib, 0x55);
  run.go_on();
  const auto outcome = run.wait();
  EXPECT_EQ(outcome.exit_code, 10) << outcome.error_output;
  EXPECT_NE(outcome.error_output.find("was resized"), std::string::npos) << outcome.error_output;
  subject.expect_at_rest();
  subject.must({"backup", subject.domain.name()});
}

TEST_F(EncryptedDisk, WhoseSecretCannotBeReadIsRefusedBeforeAnythingIsTouched) {
  rig::DiskOptions disk = encrypted();
  disk.secret_is_private = true;
  ProtectedDomain subject(with_disks({disk}));
  subject.init();
  subject.domain.start_paused();
  expect_refused(subject, {"backup", subject.domain.name()}, 7, "private='no'");
  const std::string explained = subject.run({"explain", subject.domain.name()}).output;
  EXPECT_NE(explained.find("is private"), std::string::npos) << explained;
  subject.expect_at_rest();
}

TEST_F(EncryptedDisk, OverAnotherImageIsRefused) {
  ProtectedDomain subject(with_disks({encrypted()}));
  subject.init();
  rig::set_backing(subject.domain.disk_path(), subject.domain.passphrase(), subject.domain.folder() / "below.raw");
  expect_refused(subject, {"backup", subject.domain.name()}, 10, "lies over");
}

TEST_F(EncryptedDisk, IsNotTakenWithMemory) {
  ProtectedDomain subject(with_disks({encrypted()}));
  subject.init();
  subject.domain.start();
  expect_refused(subject, {"backup", subject.domain.name(), "--full-state"}, 10, "is encrypted by QEMU");
  const auto outcome = subject.must({"backup", subject.domain.name(), "--full-state=try"});
  EXPECT_NE((outcome.output + outcome.error_output).find("without memory"), std::string::npos) << outcome.output;
  subject.expect_at_rest();
}

TEST_F(EncryptedDisk, IsExplained) {
  ProtectedDomain subject(with_disks({encrypted()}));
  subject.init();
  const std::string text = subject.must({"explain", subject.domain.name()}).output;
  EXPECT_NE(text.find("its file is stored as it is"), std::string::npos) << text;
  EXPECT_NE(text.find("no bitmap tells"), std::string::npos) << text;
}

// ---- restore

class EncryptedRestore : public EncryptedDisk {
 protected:
  void SetUp() override {
    EncryptedDisk::SetUp();
    subject.emplace(with_disks({encrypted()}));
    subject->init();
    subject->domain.start_paused();
    subject->domain.monitor_write("vda", 3 * k_mib, k_mib, k_pattern);
    content = subject->domain.hash_disk();
    subject->must({"backup", subject->domain.name()});
    subject->domain.destroy();
  }

  // A copy of the domain, undone with the test; started and stopped to see that its secret opens it.
  void expect_clone_runs(const std::vector<std::string>& more, const std::filesystem::path& file) {
    const std::string clone = subject->domain.name() + "-copy";
    subject->domain.undo().domain(clone);
    std::vector<std::string> words = {"restore", "latest", "--as", clone, "--start", "--verify"};
    words.insert(words.end(), more.begin(), more.end());
    subject->must(words);
    EXPECT_EQ(rig::content_hash(file, "qcow2", subject->domain.passphrase()), content);
  }

  std::optional<ProtectedDomain> subject;
  std::string content;
};

TEST_F(EncryptedRestore, AsASecondDomainRuns) {
  const auto folder = subject->domain.folder() / "elsewhere";
  expect_clone_runs({"--to", folder}, folder / (subject->domain.name() + "-copy.vda.qcow2"));
}

TEST_F(EncryptedRestore, ToAPathRuns) {
  const auto file = subject->domain.folder() / "clone.qcow2";
  expect_clone_runs({"--disk-path", "vda=" + file.string()}, file);
}

TEST_F(EncryptedRestore, OverTheOldOneHasThePointsContent) {
  const std::string defined = subject->definition();
  subject->domain.start_paused();
  subject->domain.monitor_write("vda", 3 * k_mib, 2 * k_mib, 0x77);
  subject->domain.destroy();
  ASSERT_NE(subject->domain.hash_disk(), content);
  subject->must({"restore", "latest", "--replace", "--verify", "--start"});
  EXPECT_EQ(subject->domain.hash_disk(), content);
  EXPECT_EQ(subject->definition(), defined);
  subject->must({"backup", subject->domain.name()});
  subject->expect_at_rest();
}

TEST_F(EncryptedRestore, IsRefusedInAnotherForm) {
  const std::string folder = subject->domain.folder() / "elsewhere";
  expect_refused(*subject, {"restore", "latest", "--disks-only", "--to", folder, "--disk-format", "vda=raw"}, 2,
                 "stored as the file that QEMU encrypts");
  const std::string file = subject->domain.folder() / "device.raw";
  std::ofstream(file).close();
  std::filesystem::resize_file(file, 64 * k_mib);
  const std::string device = rig::attach_loop(subject->domain.undo(), file);
  expect_refused(*subject, {"restore", "latest", "--disks-only", "--disk-path", "vda=" + device, "--overwrite-device"},
                 2, "onto a device");
}

TEST_F(EncryptedRestore, WithoutItsSecretIsRefusedWithTheCure) {
  virDomainPtr handle = subject->domain.handle();
  virSecretPtr secret = ::virSecretLookupByUUIDString(::virDomainGetConnect(handle), subject->domain.secret().c_str());
  ASSERT_NE(secret, nullptr);
  EXPECT_EQ(::virSecretUndefine(secret), 0);
  ::virSecretFree(secret);
  const std::string clone = subject->domain.name() + "-copy";
  subject->domain.undo().domain(clone);
  expect_refused(*subject, {"restore", "latest", "--as", clone, "--to", subject->domain.folder() / "elsewhere"}, 10,
                 "virsh secret-define");
  subject->must({"restore", "latest", "--disks-only", "--to", subject->domain.folder() / "files"});
}

// ---- crashes

struct Crash {
  std::string failpoint;
  bool shut_off_then = false;
};
void PrintTo(const Crash& crash, std::ostream* out) { *out << crash.failpoint << crash.shut_off_then; }

class EncryptedCrash : public testing::TestWithParam<Crash> {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }
};

TEST_P(EncryptedCrash, RecoverPutsTheDomainBack) {
  ProtectedDomain subject(with_disks({encrypted()}));
  subject.init();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 1 * k_mib, k_mib, k_pattern);
  const std::string defined = subject.definition();
  const auto crashed = subject.run({"backup", subject.domain.name()}, at_failpoint(GetParam().failpoint + "=kill"));
  ASSERT_EQ(crashed.exit_code, 137) << crashed.error_output;
  subject.domain.monitor_write("vda", 5 * k_mib, k_mib, k_pattern);
  const std::string written = subject.domain.hash_disk();
  if (GetParam().shut_off_then) {
    subject.domain.destroy();
    // On its overlay, where it is, it would start too.
    subject.domain.start_paused();
    subject.domain.destroy();
  }
  subject.must({"recover"});
  subject.expect_at_rest();
  EXPECT_EQ(subject.domain.hash_disk(), written);
  EXPECT_EQ(subject.definition(), defined);
  expect_nothing_in_the_clear(subject);
  subject.must({"backup", subject.domain.name()});
  EXPECT_EQ(subject.restored_hash("latest"), written);
  subject.expect_at_rest();
}

INSTANTIATE_TEST_SUITE_P(EachStage, EncryptedCrash,
                         testing::Values(Crash{"backup.overlays_made"}, Crash{"backup.overlays_made", true},
                                         Crash{"backup.acted.snapshotted"}, Crash{"backup.acted.snapshotted", true},
                                         Crash{"backup.fact.sealed", true}, Crash{"commit.ready"},
                                         Crash{"commit.ready", true}),
                         [](const auto& parameter) {
                           std::string name = parameter.param.failpoint;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name + (parameter.param.shut_off_then ? "_shut_off" : "_running");
                         });

// Killed while the overlay of a domain that is off is merged with qemu-img.
TEST_F(EncryptedDisk, OfAShutOffDomainIsMergedAgainAfterACrash) {
  ProtectedDomain subject(with_disks({encrypted()}));
  subject.init();
  const std::string defined = subject.definition();
  const std::string before = subject.domain.hash_disk();
  const auto crashed = subject.run({"backup", subject.domain.name()}, at_failpoint("return.merged_offline=kill"));
  ASSERT_EQ(crashed.exit_code, 137) << crashed.error_output;
  subject.must({"recover"});
  EXPECT_EQ(subject.domain.hash_disk(), before);
  EXPECT_EQ(subject.definition(), defined);
  subject.expect_at_rest();
  EXPECT_EQ(subject.points().size(), 1U);
}

}  // namespace
}  // namespace icecore::system_test
