// SPDX-License-Identifier: Apache-2.0
// ARCHITECTURE.md, section 5: what may start beside what on a domain. One test a cell of the rows of backup, restore
// and recover; what runs is stopped in its middle meanwhile, and ends as if nothing had been. The row of forget, whose
// locks are the repository's, is in tests/unit/maintenance.
#include <gmock/gmock.h>

#include <ostream>

#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr std::uint64_t k_mib = 1024 * 1024;
constexpr int k_busy = 5;
constexpr int k_conflict = 10;
constexpr int k_partial = 3;

enum class Running { backup, backup_shut_off, restore, restore_by_name, restore_replacing, recover };
enum class Starting { backup_of_the_same, backup_of_another, restore, restore_same_files, restore_replacing, recover };

struct Cell {
  Running running;
  Starting starting;
  int exit_code = 0;
  const char* says = "";      // on its standard error
  int running_exit_code = 0;  // of what ran all the while
};

std::string name_of(Running running) {
  switch (running) {
    case Running::backup: return "Backup";
    case Running::backup_shut_off: return "BackupOfAShutOffOne";
    case Running::restore: return "RestoreOfACopy";
    case Running::restore_by_name: return "RestoreUnderItsName";
    case Running::restore_replacing: return "RestoreReplacing";
    case Running::recover: return "Recover";
  }
  return "";
}

std::string name_of(Starting starting) {
  switch (starting) {
    case Starting::backup_of_the_same: return "BackupOfTheSame";
    case Starting::backup_of_another: return "BackupOfAnother";
    case Starting::restore: return "Restore";
    case Starting::restore_same_files: return "RestoreToTheSameFiles";
    case Starting::restore_replacing: return "RestoreReplacing";
    case Starting::recover: return "Recover";
  }
  return "";
}

std::string name_of(const Cell& cell) { return name_of(cell.starting) + "Beside_" + name_of(cell.running); }

void PrintTo(const Cell& cell, std::ostream* out) { *out << name_of(cell); }

class LockingTable : public testing::TestWithParam<Cell> {
 protected:
  // A domain with a restore point, changed since; and another one.
  void SetUp() override {
    ICECORE_NEEDS("root", "libvirt", "icecore");
    subject_.emplace();
    subject_->init();
    subject_->domain.start_paused();
    subject_->domain.monitor_write("vda", 0, k_mib, 0x11);
    subject_->must({"backup", name()});
    point_ = subject_->points().at(0);
    of_point_ = subject_->domain.hash_disk();
    subject_->domain.monitor_write("vda", k_mib, k_mib, 0x12);
    changed_ = subject_->domain.hash_disk();
    another_.emplace();
    another_->start_paused();
    another_->monitor_write("vda", 0, k_mib, 0x21);
    for (const char* copy : {"first", "second"}) another_->undo().domain(name() + "-" + copy);
  }

  const std::string& name() const { return subject_->domain.name(); }
  fs::path folder_of(const std::string& copy) const { return subject_->domain.folder() / copy; }
  std::vector<std::string> restore_as(const std::string& copy) const {
    return {"restore", point_, "--as", name() + "-" + copy, "--to", folder_of(copy)};
  }
  std::string hash_of(const std::string& copy) const {
    return rig::content_hash(folder_of(copy) / (name() + "-" + copy + ".vda.qcow2"), "qcow2");
  }

  void begin() {
    switch (GetParam().running) {
      case Running::backup: return begin({"backup", name()}, "backup.fact.reading");
      case Running::backup_shut_off:
        subject_->domain.destroy();
        return begin({"backup", name()}, "backup.fact.reading");
      case Running::restore: return begin(restore_as("first"), "restore.fact.written");
      case Running::restore_by_name:
        subject_->domain.destroy();
        ASSERT_EQ(::virDomainUndefine(subject_->domain.handle()), 0);
        fs::rename(subject_->domain.disk_path(), folder_of("old.qcow2"));
        return begin({"restore", point_}, "restore.acted.defined");
      case Running::restore_replacing:
        subject_->domain.destroy();
        return begin({"restore", point_, "--replace"}, "restore.fact.written");
      case Running::recover:
        subject_->run({"backup", name()}, {{"ICECORE_FAILPOINTS", "backup.fact.sealed=kill"}});
        return begin({"recover"}, "recover.merged");
    }
  }
  void begin(std::vector<std::string> words, const std::string& failpoint) {
    running_.emplace(subject_->with_options(std::move(words)),
                     rig::Environment{{"ICECORE_FAILPOINTS", failpoint + "=pause"}});
    running_->wait_failpoint();
  }

  rig::IcecoreOutcome start() {
    switch (GetParam().starting) {
      case Starting::backup_of_the_same: return subject_->run({"backup", name()});
      case Starting::backup_of_another: return subject_->run({"backup", another_->name()});
      case Starting::restore: return subject_->run(restore_as("second"));
      case Starting::restore_same_files: return subject_->run(restore_as("first"));
      case Starting::restore_replacing: return subject_->run({"restore", point_, "--replace"});
      case Starting::recover: return subject_->run({"recover"});
    }
    return {};
  }

  // What started has done its work, or none.
  void expect_started() {
    if (GetParam().exit_code != 0) return;
    switch (GetParam().starting) {
      case Starting::backup_of_the_same: EXPECT_EQ(subject_->restored_hash(name()), changed_); break;
      case Starting::backup_of_another:
        EXPECT_EQ(subject_->restored_hash(another_->name()), another_->hash_disk());
        EXPECT_EQ(another_->live_source(), another_->disk_path());
        break;
      case Starting::restore: EXPECT_EQ(hash_of("second"), of_point_); break;
      case Starting::restore_same_files: EXPECT_EQ(hash_of("first"), of_point_); break;
      case Starting::restore_replacing:
      case Starting::recover: FAIL() << "never beside anything";
    }
  }

  // What ran has done all of its own.
  void expect_done() {
    switch (GetParam().running) {
      case Running::backup:
      case Running::backup_shut_off:
      case Running::recover: EXPECT_EQ(subject_->restored_hash(name()), changed_); break;
      case Running::restore: EXPECT_EQ(hash_of("first"), of_point_); break;
      case Running::restore_by_name:
      case Running::restore_replacing:
        EXPECT_EQ(rig::content_hash(subject_->domain.disk_path(), "qcow2"), of_point_);
        break;
    }
    subject_->expect_at_rest();
  }

  std::optional<ProtectedDomain> subject_;
  std::optional<rig::TestDomain> another_;
  std::string point_;
  std::string of_point_;  // the disk as the restore point has it
  std::string changed_;   // and as it is now
  std::optional<rig::IcecoreRun> running_;
};

TEST_P(LockingTable, Cell) {
  begin();
  const std::string disk = subject_->domain.inactive_source();
  const rig::IcecoreOutcome started = start();
  EXPECT_EQ(started.exit_code, GetParam().exit_code) << started.error_output;
  EXPECT_THAT(started.error_output, HasSubstr(GetParam().says));
  EXPECT_EQ(subject_->domain.inactive_source(), disk) << "the disk was taken from what runs";
  expect_started();
  running_->go_on();
  const rig::IcecoreOutcome ended = running_->wait();
  EXPECT_EQ(ended.exit_code, GetParam().running_exit_code) << ended.error_output;
  expect_done();
  subject_->must({"verify", "--read-data"});
}

// The table, row by row.
std::vector<Cell> cells() {
  using enum Starting;
  constexpr const char* k_locked = "is working on domain";
  constexpr const char* k_skipped = "another icecore is at work on it";
  return {
      {Running::backup, backup_of_the_same, k_busy, k_locked},
      {Running::backup, backup_of_another},
      {Running::backup, restore},
      {Running::backup_shut_off, restore_replacing, k_busy, k_locked},
      {Running::backup, recover, k_partial, k_skipped},

      {Running::restore, backup_of_the_same},
      {Running::restore_by_name, backup_of_the_same, k_busy, k_locked},
      {Running::restore_replacing, backup_of_the_same, k_busy, k_locked},
      {Running::restore, backup_of_another},
      {Running::restore, restore},
      {Running::restore, restore_same_files, 0, "", k_conflict},
      {Running::restore_replacing, restore_replacing, k_busy, k_locked},
      {Running::restore, recover, k_partial, k_skipped},
      {Running::restore_replacing, recover, k_partial, k_skipped},

      {Running::recover, backup_of_the_same, k_busy, k_locked},
      {Running::recover, backup_of_another},
      {Running::recover, restore},
      {Running::recover, recover, k_partial, k_skipped},
  };
}

INSTANTIATE_TEST_SUITE_P(Each, LockingTable, testing::ValuesIn(cells()),
                         [](const auto& cell) { return name_of(cell.param); });

}  // namespace
}  // namespace icecore::system_test
