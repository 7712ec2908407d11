// SPDX-License-Identifier: Apache-2.0
// Points with the guest's memory: a restored guest goes on where it was, with its processes and open files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>

#include <fstream>
#include <sstream>

#include "base/id.hpp"
#include "repository/manifest.hpp"
#include "repository/repository.hpp"
#include "rig/guest.hpp"
#include "rig/requirements.hpp"
#include "storage/storage.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;

// With an ext4 that the guest mounts at /mnt.
rig::DomainOptions with_file_system() {
  rig::DomainOptions options;
  options.disks = {{.image = {.file_system = true}}};
  return options;
}

constexpr const char* k_boot_id = "cat /proc/sys/kernel/random/boot_id";

class FullState : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore", "guest"); }

  void boot(ProtectedDomain& subject) {
    subject.init();
    subject.domain.start();
    rig::Guest guest(subject.domain);
    guest.wait_agent();
    guest.shell(k_boot_id);
  }
  // A process that counts in memory and in a file it keeps open.
  static void start_counter(rig::Guest& guest) {
    guest.shell(
        "echo 'i=0; exec 5>/mnt/counted; while :; do i=$((i+1)); echo $i >/run/count; echo $i >&5; usleep 50000; done' "
        ">/run/counter; setsid sh /run/counter >/dev/null 2>&1 </dev/null & echo $! >/run/pid; usleep 500000");
  }
  static constexpr base::Milliseconds k_count_length{50};  // at least
  // It is emptied before each number.
  static int count(rig::Guest& guest) {
    return std::stoi(guest.shell("until n=$(cat /run/count) && [ -n \"$n\" ]; do :; done; echo $n"));
  }
  // From 1 on without a gap. Returns the last.
  static int last_counted(const std::string& lines) {
    std::istringstream text(lines);
    int last = 0;
    for (std::string line; std::getline(text, line); ++last) EXPECT_EQ(line, std::to_string(last + 1));
    return last;
  }
  // The counter ends, and its file has what its memory has: in the page cache, and on the disk.
  static void expect_counted(ProtectedDomain& subject, rig::Guest& guest) {
    guest.shell("kill -9 $(cat /run/pid); while kill -0 $(cat /run/pid) 2>/dev/null; do usleep 10000; done");
    const std::string said = guest.shell("cat /run/count");
    const int last = last_counted(guest.shell("cat /mnt/counted"));
    if (!said.empty()) {
      EXPECT_GE(std::stoi(said), last);
      EXPECT_LE(std::stoi(said), last + 1);
    }
    guest.shell("sync; echo 3 >/proc/sys/vm/drop_caches");
    EXPECT_EQ(last_counted(guest.shell("cat /mnt/counted")), last);
    guest.shut_down();
    EXPECT_TRUE(rig::file_system_is_clean(subject.domain.disk_path(), "qcow2"));
  }
  static base::Json newest_point(const ProtectedDomain& subject) {
    return subject.must({"show", "latest", "--json"}).json();
  }
  // The newest point once more, newer, of another host, where the guest had that CPU.
  static void add_point_with_cpu(const ProtectedDomain& subject, const std::string& cpu) {
    const auto storage = storage::open_storage(subject.repository());
    repository::Repository repository(*storage, repository::KeyFile{subject.key_file()}, subject.state_dir() / "other");
    repository::Manifest point = repository::list_manifests(repository).back();
    const std::string end = point.live_xml.find("</cpu>") == std::string::npos ? "/>" : "</cpu>";
    const std::size_t from = point.live_xml.find("<cpu ");
    point.live_xml.replace(from, point.live_xml.find(end, from) + end.size() - from, cpu);
    point.id = base::random_id(16);
    point.host = "elsewhere";
    point.time += std::chrono::seconds(1);
    repository::publish(repository, point);
  }
  static void expect_no_memory_file(const ProtectedDomain& subject) {
    for (const auto& file : std::filesystem::directory_iterator(subject.domain.folder()))
      EXPECT_NE(file.path().extension(), ".save") << file.path();
  }
  static std::string state_of(const ProtectedDomain& subject) {
    int state = 0;
    virDomainGetState(subject.domain.handle(), &state, nullptr, 0);
    return state == VIR_DOMAIN_RUNNING ? "running" : state == VIR_DOMAIN_PAUSED ? "paused" : "other";
  }
};

TEST_F(FullState, ARestoredGuestGoesOnWhereItWas) {
  ProtectedDomain subject(with_file_system());
  boot(subject);
  rig::Guest guest(subject.domain);
  start_counter(guest);
  guest.start_writer();
  const std::string boot_id = guest.shell(k_boot_id);
  const std::string pid = guest.shell("cat /run/pid");
  const int before = count(guest);

  subject.must({"backup", subject.domain.name(), "--full-state"});
  const int after = count(guest);
  subject.expect_at_rest();
  expect_no_memory_file(subject);
  const base::Json point = newest_point(subject);
  EXPECT_EQ(point.at("mode"), "full-state");
  EXPECT_EQ(point.at("consistency"), "full-state");
  EXPECT_GT(point.at("paused_ms"), 0);
  EXPECT_EQ(point.at("freeze_ms"), 0);
  EXPECT_EQ(point.at("blobs").at(0).at("kind"), "memory");

  subject.domain.destroy();
  const base::Stopwatch since_restore;
  const base::Json restored = subject.must({"restore", "latest", "--replace", "--json"}).json();
  EXPECT_EQ(restored.at("with_memory"), true);
  guest.wait_agent();
  EXPECT_EQ(guest.shell(k_boot_id), boot_id);
  EXPECT_EQ(guest.shell("cat /run/pid"), pid);
  EXPECT_EQ(guest.shell("kill -0 $(cat /run/pid) && echo alive"), "alive\n");
  const int now = count(guest);
  EXPECT_GE(now, before) << "it went on from the point's instant";
  EXPECT_LE(now, after + since_restore.elapsed() / k_count_length) << "and from no later one";
  guest.shell("usleep 500000");
  EXPECT_GT(count(guest), now) << "it counts on";
  guest.stop_writer();
  const rig::ChainState log = guest.check_log();
  EXPECT_TRUE(log.unbroken) << "its log, written before and after the point's instant, has no gap";
  subject.expect_at_rest();
  expect_no_memory_file(subject);
  expect_counted(subject, guest);
}

TEST_F(FullState, PausedMeanwhileAndRestoredPaused) {
  ProtectedDomain subject(with_file_system());
  boot(subject);
  rig::Guest guest(subject.domain);
  const std::string boot_id = guest.shell(k_boot_id);
  subject.must({"backup", subject.domain.name(), "--full-state", "--pause"});
  EXPECT_EQ(guest.shell(k_boot_id), boot_id) << "it runs again";
  EXPECT_GT(newest_point(subject).at("paused_ms"), 0);
  subject.domain.destroy();
  subject.must({"restore", "latest", "--replace", "--paused"});
  EXPECT_EQ(state_of(subject), "paused");
  ASSERT_EQ(virDomainResume(subject.domain.handle()), 0);
  guest.wait_agent();
  EXPECT_EQ(guest.shell(k_boot_id), boot_id);
}

// By libvirt's events. QEMU measures for 100 ms how fast it can save before it stops a guest that runs on.
TEST_F(FullState, TheGuestRunsOnWhileItIsSavedOrStandsStillAsAsked) {
  constexpr int k_runs_on_ms = 100;
  ProtectedDomain subject(with_file_system());
  boot(subject);
  const auto ran_on_ms = [&](const std::string& how) {
    subject.must({"backup", subject.domain.name(), "--full-state", how});
    EXPECT_EQ(state_of(subject), "running");
    const base::Json point = newest_point(subject);
    return point.at("snapshot_ms").get<int>() - point.at("paused_ms").get<int>();
  };
  for (int round = 0; round < 2; ++round) EXPECT_GE(ran_on_ms("--live"), k_runs_on_ms);
  int least = ran_on_ms("--pause");  // of a busy host one call may take its time
  for (int round = 0; round < 5 && least >= k_runs_on_ms; ++round) least = std::min(least, ran_on_ms("--pause"));
  EXPECT_LT(least, k_runs_on_ms);
  subject.expect_at_rest();
}

// QEMU would keep its disks to itself, and no overlay could be merged, until it runs again.
TEST_F(FullState, APausedGuestIsRefused) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  const auto refused = subject.run({"backup", subject.domain.name(), "--full-state"});
  EXPECT_EQ(refused.exit_code, 10);
  EXPECT_THAT(refused.error_output, HasSubstr("virsh resume"));
  EXPECT_EQ(subject.run({"explain", subject.domain.name(), "--full-state"}).exit_code, 10);
  const auto policy = subject.domain.folder() / "policy.xml";
  std::ofstream(policy) << "<policy name='p'><domains><include name='*'/></domains><capture mode='full-state'/>"
                        << "<repository url='" << subject.repository().string() << "' key-file='"
                        << subject.key_file().string() << "'/></policy>";
  const auto told = subject.run({"explain", subject.domain.name(), "--policy", policy});
  EXPECT_EQ(told.exit_code, 10) << told.output << told.error_output;
  EXPECT_THAT(told.output, HasSubstr("A backup would be refused"));
  subject.must({"backup", subject.domain.name(), "--full-state=try"});
  EXPECT_EQ(newest_point(subject).at("mode"), "disk-only");
  subject.expect_at_rest();
}

TEST_F(FullState, AnIdleGuestsNextPointCostsLittle) {
  ProtectedDomain subject(with_file_system());
  boot(subject);
  subject.must({"backup", subject.domain.name(), "--full-state", "--pause"});
  const auto first = newest_point(subject).at("bytes_stored").get<std::uint64_t>();
  subject.must({"backup", subject.domain.name(), "--full-state", "--pause"});
  const auto second = newest_point(subject).at("bytes_stored").get<std::uint64_t>();
  EXPECT_LT(second * 8, first) << first << " and " << second;
}

TEST_F(FullState, WithoutItsMemoryItBoots) {
  ProtectedDomain subject(with_file_system());
  boot(subject);
  rig::Guest guest(subject.domain);
  const std::string boot_id = guest.shell(k_boot_id);
  subject.must({"backup", subject.domain.name(), "--full-state"});
  subject.domain.destroy();
  const base::Json restored =
      subject.must({"restore", "latest", "--replace", "--discard-memory", "--start", "--json"}).json();
  EXPECT_EQ(restored.at("with_memory"), false);
  guest.wait_agent();
  EXPECT_NE(guest.shell(k_boot_id), boot_id);
}

TEST_F(FullState, ItIsResumedOnDisksElsewhere) {
  ProtectedDomain subject(with_file_system());
  boot(subject);
  rig::Guest guest(subject.domain);
  const std::string boot_id = guest.shell(k_boot_id);
  subject.must({"backup", subject.domain.name(), "--full-state"});
  subject.domain.destroy();
  ASSERT_EQ(virDomainUndefine(subject.domain.handle()), 0);
  const std::filesystem::path folder = subject.domain.folder() / "elsewhere";
  subject.must({"restore", "latest", "--to", folder.string()});
  guest.wait_agent();
  EXPECT_EQ(guest.shell(k_boot_id), boot_id);
  EXPECT_EQ(std::filesystem::path(subject.domain.live_source()).parent_path(), folder);
  EXPECT_EQ(std::filesystem::path(subject.domain.inactive_source()).parent_path(), folder);
}

// As if saved on another host: found while the old disks are there.
TEST_F(FullState, AHostWithoutItsCpuIsFoundBeforeAnythingIsWritten) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start();
  subject.must({"backup", subject.domain.name(), "--full-state"});
  subject.domain.destroy();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 0, 65536, 0x77);
  const std::string disk = subject.domain.hash_disk();
  subject.domain.destroy();
  add_point_with_cpu(subject, "<cpu mode='custom' match='exact' check='full'><model>Skylake-Server</model></cpu>");
  const std::vector<std::string> words = {"restore", "latest", "--replace"};
  const auto refused = subject.run(words);
  EXPECT_EQ(refused.exit_code, 10);
  EXPECT_THAT(refused.error_output, HasSubstr("Skylake-Server"));
  EXPECT_THAT(refused.error_output, HasSubstr("--discard-memory"));
  EXPECT_EQ(subject.domain.hash_disk(), disk);
  add_point_with_cpu(subject, "<cpu mode='host-passthrough'/>");
  EXPECT_THAT(subject.must({"restore", "latest", "--replace", "--dry-run"}).error_output,
              HasSubstr("host-passthrough"));
  subject.must({"restore", "latest", "--replace", "--discard-memory"});
}

TEST_F(FullState, AnotherNameIsRefusedWithTheWayOut) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start();
  subject.must({"backup", subject.domain.name(), "--full-state"});
  const auto refused =
      subject.run({"restore", "latest", "--as", "other", "--to", (subject.domain.folder() / "x").string()});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.error_output, HasSubstr("--discard-memory"));
}

TEST_F(FullState, ADomainThatIsOffHasNoMemory) {
  ProtectedDomain subject;
  subject.init();
  const auto refused = subject.run({"backup", subject.domain.name(), "--full-state"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.error_output, HasSubstr("no memory"));
  subject.must({"backup", subject.domain.name(), "--full-state=try"});
  EXPECT_EQ(newest_point(subject).at("mode"), "offline");
}

TEST_F(FullState, WhatBlocksItIsFoundBeforeAnythingIsTouched) {
  rig::DomainOptions options;
  options.devices_xml =
      "<shmem name='icecore-rig' role='peer'><model type='ivshmem-plain'/><size unit='M'>1</size></shmem>";
  ProtectedDomain subject(options);
  subject.init();
  subject.domain.start();
  const auto refused = subject.run({"backup", subject.domain.name(), "--full-state"});
  EXPECT_EQ(refused.exit_code, 10);
  const auto told = subject.run({"explain", subject.domain.name(), "--full-state", "--json"});
  EXPECT_EQ(told.exit_code, refused.exit_code);
  EXPECT_THAT(told.json().at("refusals").dump(), HasSubstr("shmem"));
  EXPECT_THAT(refused.error_output, HasSubstr("shmem"));
  EXPECT_THAT(refused.error_output, HasSubstr("--full-state=try"));
  subject.expect_at_rest();
  subject.must({"backup", subject.domain.name(), "--full-state=try"});
  EXPECT_EQ(newest_point(subject).at("mode"), "disk-only");
}

TEST_F(FullState, WhatFailsUnderwayLeavesTheDisksWhereThatMayBe) {
  ProtectedDomain subject(with_file_system());
  boot(subject);
  rig::Guest guest(subject.domain);
  const std::string boot_id = guest.shell(k_boot_id);
  const auto run = [&](const std::string& rule, const std::string& failpoints) {
    return subject.run({"backup", subject.domain.name(), rule}, {{"ICECORE_FAILPOINTS", failpoints}});
  };
  EXPECT_EQ(run("--full-state", "backup.memory_progress=error").exit_code, 6);
  EXPECT_TRUE(subject.points().empty());
  const auto outcome = run("--full-state=try", "backup.memory_progress=error");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  EXPECT_THAT(outcome.error_output, HasSubstr("without memory: failpoint"));
  const base::Json point = newest_point(subject);
  EXPECT_EQ(point.at("mode"), "disk-only");
  EXPECT_EQ(point.at("consistency"), "filesystem") << "frozen, which is not done for a point with memory";
  subject.expect_at_rest();
  expect_no_memory_file(subject);
  EXPECT_EQ(guest.shell(k_boot_id), boot_id) << "the guest runs on";

  const auto killed = run("--full-state=try", "backup.memory_progress=error,backup.without_memory=kill");
  ASSERT_EQ(killed.exit_code, 137) << killed.error_output;
  subject.expect_at_rest();
  expect_no_memory_file(subject);
  EXPECT_EQ(subject.points().size(), 1U);
}

// For the guest's overlays there would be enough.
TEST_F(FullState, WithoutRoomForItTheDisksAloneAreTakenAndExplainTellsBefore) {
  ProtectedDomain subject;
  subject.init();
  const auto small = subject.domain.folder() / "small";
  std::filesystem::create_directory(small);
  ASSERT_EQ(::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=64m,mode=0755"), 0);
  subject.domain.undo().folder(small);
  subject.domain.start();  // QEMU sees no file system that is mounted later: libvirt gives it mounts of its own
  const auto run = [&](const std::string& command, const std::string& rule) {
    return subject.run({command, subject.domain.name(), rule, "--overlay-dir", small, "--json"});
  };
  const int no_space = run("backup", "--full-state").exit_code;
  EXPECT_NE(no_space, 0);
  const auto explained = run("explain", "--full-state");
  EXPECT_EQ(explained.exit_code, no_space);
  const base::Json memory = explained.json().at("memory");
  EXPECT_EQ(memory.at("folder"), small.string());
  EXPECT_GT(memory.at("needed_bytes_max"), memory.at("free_bytes"));

  const auto told = run("explain", "--full-state=try");
  EXPECT_EQ(told.exit_code, 0) << told.output;
  EXPECT_EQ(told.json().at("mode"), "disk-only");
  EXPECT_THAT(told.json().at("memory_note").get<std::string>(), HasSubstr("without memory: the guest's memory takes"));
  const auto outcome = run("backup", "--full-state=try");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  EXPECT_THAT(outcome.output, HasSubstr("without memory: the guest's memory takes"));
  EXPECT_EQ(newest_point(subject).at("mode"), "disk-only");
  subject.expect_at_rest();
}

TEST_F(FullState, AStopEndsItWithTheGuestAsItWas) {
  ProtectedDomain subject(with_file_system());
  boot(subject);
  rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name(), "--full-state"}),
                         {{"ICECORE_FAILPOINTS", "backup.memory_progress=pause:1"}});
  backup.wait_failpoint();
  backup.signal(SIGINT);
  backup.go_on();
  EXPECT_NE(backup.wait().exit_code, 0);
  subject.expect_at_rest();
  expect_no_memory_file(subject);
  EXPECT_EQ(state_of(subject), "running");
}

}  // namespace
}  // namespace icecore::system_test
