// SPDX-License-Identifier: Apache-2.0
// Domains made of another one's restore point: beside it, beside each other, sharing nothing that is written to.
#include <gmock/gmock.h>

#include <set>

#include "base/process.hpp"
#include "rig/guest.hpp"
#include "rig/requirements.hpp"
#include "rig/xml_query.hpp"
#include "system/job/expect_error.hpp"
#include "system/job/loop_device.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t k_mib = 1024 * 1024;

class Clones : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }

  static std::string xml_of(const ProtectedDomain& subject, const std::string& domain) {
    return base::run_checked(
        {.arguments = {"virsh", "-q", "-c", subject.domain.uri(), "dumpxml", "--inactive", domain}},
        std::chrono::seconds(30));
  }
  // Every file a domain may write to.
  static std::vector<std::string> written_files(const std::string& xml) {
    std::vector<std::string> files;
    for (const char* where :
         {"//disk[not(readonly)]/source/@file", "//serial/source/@path", "//nvram", "//log/@file"}) {
      for (std::string& file : rig::xml_values(xml, where)) files.push_back(std::move(file));
    }
    return files;
  }
};

TEST_F(Clones, ThreeAtOnceBesideTheRunningOriginal) {
  rig::DomainOptions options;
  options.disks = {{.target = "vda", .extra_xml = "<serial>system</serial>"}, {.target = "vdb"}};
  options.devices_xml = "<interface type='user'/>";
  options.domain_xml = "<genid>11111111-2222-4333-8444-555555555555</genid>";
  ProtectedDomain subject(options);
  subject.init();
  rig::write_pattern(subject.domain.disk_path(), "qcow2", k_mib, 8 * k_mib, 0x31);
  subject.domain.start_paused();
  subject.must({"backup", subject.domain.name()});
  const std::string hash = rig::content_hash(subject.domain.disk_path(), "qcow2");

  std::vector<std::string> names;
  std::vector<std::unique_ptr<rig::IcecoreRun>> runs;
  for (const char* suffix : {"-a", "-b", "-c"}) {
    names.push_back(subject.domain.name() + suffix);
    subject.domain.undo().domain(names.back());
    runs.push_back(std::make_unique<rig::IcecoreRun>(subject.with_options(
        {"restore", "latest", "--as", names.back(), "--to", subject.domain.folder() / "clones", "--verify"})));
  }
  for (const auto& run : runs) {
    const auto outcome = run->wait();
    EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  }

  std::set<std::string> files, uuids, cards, generations;
  names.push_back(subject.domain.name());
  for (const std::string& name : names) {
    const std::string xml = xml_of(subject, name);
    for (const std::string& file : written_files(xml)) EXPECT_TRUE(files.insert(file).second) << file;
    EXPECT_TRUE(uuids.insert(rig::xml_value(xml, "/domain/uuid")).second);
    EXPECT_TRUE(cards.insert(rig::xml_value(xml, "//interface/mac/@address")).second);
    EXPECT_TRUE(generations.insert(rig::xml_value(xml, "/domain/genid")).second);
    // The guest's fstab may go by it.
    EXPECT_EQ(rig::xml_value(xml, "//disk/serial"), "system");
    if (name == subject.domain.name()) continue;
    EXPECT_EQ(rig::content_hash(subject.domain.folder() / "clones" / (name + ".vda.qcow2"), "qcow2"), hash);
  }
  EXPECT_TRUE(subject.domain.is_running());
  subject.expect_at_rest();
}

TEST_F(Clones, OneRunsFromADeviceBesideTheRunningOriginal) {
  ICECORE_NEEDS("guest");
  rig::DiskOptions disk;
  disk.image.files = {{"etc/motd", "hello\n"}, {"data/one", std::string(300'000, 'x')}};
  rig::DomainOptions options;
  options.disks = {disk};
  ProtectedDomain subject(options);
  subject.init();
  subject.domain.start();
  rig::Guest guest(subject.domain);
  guest.wait_agent();
  const auto before = guest.checksums();
  subject.must({"backup", subject.domain.name(), "--quiesce=required"});
  const LoopDevice device(subject.domain.folder(), 72 * k_mib);
  const std::string name = subject.domain.name() + "-copy";
  subject.domain.undo().domain(name);
  subject.must({"restore", "latest", "--as", name, "--disk-path", "vda=" + device.path(), "--overwrite-device",
                "--verify", "--start"});
  rig::TestDomain copy({.disks = {{.existing = device.path()}}, .name = name});
  rig::Guest inside(copy);
  inside.wait_agent();
  EXPECT_EQ(inside.checksums(), before);
  inside.write_file("/mnt/mine", "the copy's");
  EXPECT_EQ(guest.checksums(), before);
  copy.destroy();
}

TEST_F(Clones, OfTwoWithOneNameOneWins) {
  ProtectedDomain subject;
  subject.init();
  subject.must({"backup", subject.domain.name()});
  const std::string name = subject.domain.name() + "-copy";
  subject.domain.undo().domain(name);
  const auto arguments = [&](const char* folder) {
    return subject.with_options({"restore", "latest", "--as", name, "--to", subject.domain.folder() / folder});
  };
  rig::IcecoreRun first(arguments("one"), {{"ICECORE_FAILPOINTS", "restore.fact.writing=pause"}});
  first.wait_failpoint();
  subject.must({"restore", "latest", "--as", name, "--to", subject.domain.folder() / "two"});
  first.go_on();
  expect_error(first.wait(), 10, name);
  EXPECT_TRUE(std::filesystem::is_empty(subject.domain.folder() / "one"));
  EXPECT_EQ(rig::content_hash(subject.domain.folder() / "two" / (name + ".vda.qcow2"), "qcow2"),
            subject.domain.hash_disk());
  subject.expect_at_rest();
}

}  // namespace
}  // namespace icecore::system_test
