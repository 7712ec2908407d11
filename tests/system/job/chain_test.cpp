// SPDX-License-Identifier: Apache-2.0
// Disks that are chains: whatever lies below the image a domain writes to is somebody else's, and stays as it is.
#include <gtest/gtest.h>

#include "base/process.hpp"
#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t k_mib = 1024 * 1024;

class Chains : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }

  // Layers below, made bottom first, each with a MiB of its own.
  struct Below {
    fs::path path;
    std::string format;
    std::string bytes;  // of the file, when it was made
  };

  fs::path add_layer(const std::string& name, const std::string& format, const fs::path& backing = {},
                     const std::string& backing_format = "qcow2") {
    const fs::path path = folder_.path() / name;
    rig::ImageOptions options{.format = format};
    if (!backing.empty()) options.backing = backing;
    options.backing_format = backing_format;
    rig::make_image(path, options);
    const auto number = below_.size() + 1;
    rig::write_pattern(path, format, number * 2 * k_mib, k_mib, static_cast<unsigned char>(number));
    below_.push_back({path, format, {}});
    return path;
  }
  void remember_files() {
    for (Below& layer : below_) layer.bytes = checksum(layer.path);
  }
  void expect_untouched() {
    for (const Below& layer : below_) EXPECT_EQ(checksum(layer.path), layer.bytes) << layer.path;
  }
  static std::string checksum(const fs::path& path) {
    return base::run_checked({.arguments = {"sha256sum", path.native()}}, std::chrono::seconds(60));
  }

  static void expect_good_backup(ProtectedDomain& subject) {
    const std::string defined = subject.definition();
    const std::string before = subject.domain.hash_disk();
    rig::IcecoreRun run(subject.with_options({"backup", subject.domain.name()}),
                        {{"ICECORE_FAILPOINTS", "backup.fact.reading=pause"}});
    run.wait_failpoint();
    subject.domain.monitor_write("vda", 20 * k_mib, k_mib, 0x71);
    const std::string meanwhile = subject.domain.hash_disk();
    run.go_on();
    const auto outcome = run.wait();
    ASSERT_EQ(outcome.exit_code, 0) << outcome.error_output;
    EXPECT_EQ(subject.restored_hash("latest"), before);
    EXPECT_EQ(subject.domain.hash_disk(), meanwhile);
    EXPECT_EQ(subject.definition(), defined) << "images below are named that the user had left to be found";
    subject.expect_at_rest();
  }

  rig::TestFolder folder_;
  std::vector<Below> below_;
};

rig::DomainOptions over(const fs::path& backing, const std::string& format = "qcow2") {
  rig::DomainOptions options;
  options.disks = {{.image = {.backing = backing, .backing_format = format}}};
  return options;
}

TEST_F(Chains, FourLayersOverARawTemplateAreReadAndOnlyTheTopIsWritten) {
  const fs::path raw = add_layer("template.raw", "raw");
  const fs::path one = add_layer("one.qcow2", "qcow2", raw, "raw");
  const fs::path two = add_layer("two.qcow2", "qcow2", one);
  ProtectedDomain subject(over(two));
  subject.init();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 16 * k_mib, k_mib, 0x44);
  remember_files();
  expect_good_backup(subject);
  expect_untouched();
}

TEST_F(Chains, ASnapshotOfTheUsersInTheChainStaysASnapshot) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 2 * k_mib, k_mib, 0x21);
  const fs::path original = subject.domain.disk_path();
  const fs::path top = subject.domain.folder() / "users-snapshot.qcow2";
  const std::string xml =
      "<domainsnapshot><name>before-upgrade</name><disks><disk name='vda' snapshot='external'><source file='" +
      top.native() + "'/></disk></disks></domainsnapshot>";
  const auto snapshot =
      ::virDomainSnapshotCreateXML(subject.domain.handle(), xml.c_str(), VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY);
  ASSERT_NE(snapshot, nullptr);
  ::virDomainSnapshotFree(snapshot);
  below_.push_back({original, "qcow2", {}});
  remember_files();
  subject.domain.monitor_write("vda", 6 * k_mib, k_mib, 0x22);
  const std::string before = subject.domain.hash_disk();
  const std::string defined = subject.definition();
  subject.must({"backup", subject.domain.name()});
  EXPECT_EQ(subject.restored_hash("latest"), before);
  EXPECT_EQ(subject.domain.live_source(), top);
  EXPECT_EQ(subject.definition(), defined);
  EXPECT_EQ(::virDomainSnapshotNum(subject.domain.handle(), 0), 1) << "the user's snapshot";
  expect_untouched();
}

TEST_F(Chains, TwoDomainsOverOneTemplateAreBackedUpSideBySide) {
  const fs::path golden = add_layer("golden.qcow2", "qcow2");
  ProtectedDomain one(over(golden));
  ProtectedDomain two(over(golden));
  remember_files();
  for (ProtectedDomain* subject : {&one, &two}) {
    subject->init();
    subject->domain.start_paused();
  }
  one.domain.monitor_write("vda", 9 * k_mib, k_mib, 0x31);
  two.domain.monitor_write("vda", 9 * k_mib, k_mib, 0x32);
  rig::IcecoreRun run(one.with_options({"backup", one.domain.name()}),
                      {{"ICECORE_FAILPOINTS", "backup.fact.reading=pause"}});
  run.wait_failpoint();
  expect_good_backup(two);
  run.go_on();
  EXPECT_EQ(run.wait().exit_code, 0);
  EXPECT_EQ(one.restored_hash("latest"), one.domain.hash_disk());
  one.expect_at_rest();
  expect_untouched();
}

TEST_F(Chains, ABackingFileNamedRelativelyIsFoundBesideItsImage) {
  const fs::path golden = add_layer("golden.qcow2", "qcow2");
  const fs::path top = folder_.path() / "top.qcow2";
  rig::make_image(top, {.backing = "golden.qcow2"});
  rig::DomainOptions options;
  options.disks = {{.existing = top}};
  ProtectedDomain subject(options);
  subject.init();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 16 * k_mib, k_mib, 0x44);
  remember_files();
  expect_good_backup(subject);
  expect_untouched();
  const base::Json info =
      base::parse_json(base::run_checked({.arguments = {"qemu-img", "info", "-U", "--output=json", top.native()}},
                                         std::chrono::seconds(30)),
                       "info");
  EXPECT_EQ(info.at("backing-filename"), "golden.qcow2");
}

}  // namespace
}  // namespace icecore::system_test
