// SPDX-License-Identifier: Apache-2.0
// The rig itself: what the system tests stand on does what its headers say, in a real QEMU with a real guest.
#include "rig/test_domain.hpp"

#include <gtest/gtest.h>

#include "base/bytes.hpp"
#include "rig/guest.hpp"
#include "rig/requirements.hpp"

namespace icecore::rig {
namespace {

using base::k_mib;
using base::Milliseconds;

class RigDomain : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("libvirt", "qemu", "guest"); }
};

DomainOptions with_files(std::map<std::string, std::string> files) {
  DomainOptions options;
  options.disks[0].image.files = std::move(files);
  return options;
}

TEST_F(RigDomain, MonitorWritesReachTheDisk) {
  TestDomain domain;
  domain.start_paused();
  const std::string before = domain.hash_disk();
  domain.monitor_write("vda", k_mib, 4096, 0xab);
  domain.destroy();
  EXPECT_FALSE(domain.is_running());
  const std::string after = domain.hash_disk();
  EXPECT_NE(before, after);
  write_pattern(domain.disk_path(), "qcow2", k_mib, 4096, 0);
  EXPECT_EQ(domain.hash_disk(), before);
}

TEST_F(RigDomain, HashIsTheSameInEveryFormat) {
  DomainOptions options;
  options.disks = {{.target = "vda"}, {.target = "vdb"}};
  options.disks[1].image.format = "raw";
  TestDomain domain(options);
  domain.start_paused();
  for (const std::string target : {"vda", "vdb"}) domain.monitor_write(target, 5 * k_mib, k_mib, 0x11);
  EXPECT_EQ(domain.hash_disk("vda"), domain.hash_disk("vdb"));
  EXPECT_TRUE(domain.block_jobs().empty());
  EXPECT_EQ(domain.live_source("vdb"), domain.disk_path("vdb"));
  EXPECT_EQ(domain.inactive_source("vda"), domain.disk_path("vda"));
}

TEST_F(RigDomain, GuestReadsAndWritesItsFiles) {
  TestDomain domain(with_files({{"hello", "world\n"}, {"deep/er", "x"}}));
  domain.start();
  Guest guest(domain);
  guest.wait_agent();
  EXPECT_EQ(guest.shell("cat /mnt/hello"), "world\n");
  EXPECT_EQ(guest.run({"/bin/false"}).exit_code, 1);
  guest.write_file("/mnt/new", "seven!!");
  EXPECT_EQ(guest.shell("cat /mnt/new"), "seven!!");
  EXPECT_EQ(guest.checksums().size(), 3U);
  EXPECT_EQ(guest.freeze_status(), "thawed");
  guest.shut_down();
  EXPECT_FALSE(domain.is_running());
}

TEST_F(RigDomain, WriterKeepsAnUnbrokenLog) {
  TestDomain domain(with_files({{"hello", "world\n"}}));
  domain.start();
  Guest guest(domain);
  guest.wait_agent();
  guest.start_writer();
  while (guest.check_log().records < 20) {
  }
  guest.agent({{"execute", "guest-fsfreeze-freeze"}});
  EXPECT_EQ(guest.freeze_status(), "frozen");
  const ChainState frozen = read_log(domain.disk_path(), domain.disk_format());
  guest.agent({{"execute", "guest-fsfreeze-thaw"}});
  EXPECT_GE(frozen.records, 20U);
  EXPECT_TRUE(frozen.unbroken);
  guest.stop_writer();
  const ChainState end = guest.check_log();
  EXPECT_TRUE(end.unbroken);
  EXPECT_GE(end.records, frozen.records);
}

TEST_F(RigDomain, AgentHangsAndGoesOn) {
  TestDomain domain(with_files({{"hello", "world\n"}}));
  domain.start();
  Guest guest(domain);
  guest.wait_agent();
  guest.hang_agent(Milliseconds(6'000));
  const base::Stopwatch watch;
  while (guest.agent_answers() && watch.elapsed() < Milliseconds(20'000)) {
  }
  EXPECT_LT(watch.elapsed(), Milliseconds(20'000));
  guest.wait_agent(Milliseconds(30'000));
}

TEST_F(RigDomain, KilledQemuLeavesTheDomainOff) {
  TestDomain domain;
  domain.start_paused();
  domain.monitor_write("vda", 0, 4096, 0x55);
  domain.kill_qemu();
  EXPECT_FALSE(domain.is_running());
  EXPECT_EQ(domain.qemu_pid(), -1);
  domain.start_paused();
}

TEST_F(RigDomain, AnyBusCarriesTheGuestsDisks) {
  DomainOptions options;
  options.disks = {{.target = "sda", .bus = "scsi"}, {.target = "vda"}};
  for (DiskOptions& disk : options.disks) disk.image.files = {{"name", disk.target}};
  TestDomain domain(options);
  domain.start();
  Guest guest(domain);
  guest.wait_agent();
  EXPECT_EQ(guest.shell("cat /mnt/name /disks/*/name"), "vdasda");
}

}  // namespace
}  // namespace icecore::rig
