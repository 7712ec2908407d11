// SPDX-License-Identifier: Apache-2.0
// A guest that writes a log in which each record carries its number and a hash over the one before, synced record by
// record, is backed up in every mode from every kind of disk, restored, and booted. The log must be an unbroken prefix
// that has all that was synced before the backup began; after a quiesced point the file system needs no repair.
#include <gtest/gtest.h>

#include <ostream>
#include <thread>

#include "rig/guest.hpp"
#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

constexpr std::uint64_t k_mib = 1024 * 1024;

enum class Mode { quiesced, unquiesced, paused, shut_off, copy, full_state, full_state_paused };
enum class Disk { qcow2, raw, over_template };

std::string_view name_of(Mode mode) {
  switch (mode) {
    case Mode::quiesced: return "Quiesced";
    case Mode::unquiesced: return "Unquiesced";
    case Mode::paused: return "Paused";
    case Mode::shut_off: return "ShutOff";
    case Mode::copy: return "Copy";
    case Mode::full_state: return "FullState";
    case Mode::full_state_paused: return "FullStatePaused";
  }
  return "";
}
std::string_view name_of(Disk disk) {
  switch (disk) {
    case Disk::qcow2: return "Qcow2";
    case Disk::raw: return "Raw";
    case Disk::over_template: return "OverTemplate";
  }
  return "";
}

struct Case {
  Mode mode;
  Disk disk;
};
std::string case_name(const testing::TestParamInfo<Case>& info) {
  return fmt::format("{}_{}", name_of(info.param.mode), name_of(info.param.disk));
}
void PrintTo(const Case& subject, std::ostream* out) { *out << name_of(subject.mode) << ' ' << name_of(subject.disk); }

class CapturedLog : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    ICECORE_NEEDS("root", "libvirt", "icecore", "guest");
    rig::DomainOptions options;
    options.disks = {disk_options()};
    subject.emplace(options);
    subject->init();
    subject->domain.start();
    guest.emplace(subject->domain);
    guest->wait_agent();
    guest->start_writer();
    wait_for_records(20);
  }

  rig::DiskOptions disk_options() {
    if (GetParam().disk == Disk::raw) return {.image = {.format = "raw", .file_system = true}};
    if (GetParam().disk == Disk::qcow2) return {.image = {.file_system = true}};
    const std::filesystem::path image = rig::make_folder(templates) / "template.qcow2";
    rig::make_image(image, {.file_system = true});
    return {.image = {.backing = image}};
  }

  void wait_for_records(std::uint64_t count) {
    const base::Stopwatch watch;
    while (guest->check_log().records < count) ASSERT_LT(watch.elapsed(), std::chrono::seconds(60));
  }

  // Brings the domain where the mode wants it and backs it up. Returns what the log had before.
  std::uint64_t back_up() {
    const std::uint64_t synced = guest->check_log().records;
    std::vector<std::string> words = {"backup", subject->domain.name()};
    const bool pauses = GetParam().mode == Mode::paused;
    if (GetParam().mode == Mode::shut_off) guest->shut_down();
    if (GetParam().mode == Mode::quiesced || GetParam().mode == Mode::copy) words.push_back("--quiesce=required");
    if (GetParam().mode == Mode::unquiesced) words.push_back("--quiesce=off");
    if (GetParam().mode == Mode::copy) words.push_back("--mode=copy");
    if (with_memory()) words.push_back("--full-state");
    if (GetParam().mode == Mode::full_state_paused) words.push_back("--pause");
    if (pauses) {
      EXPECT_EQ(::virDomainSuspend(subject->domain.handle()), 0);
    }
    subject->must(words);
    if (pauses) {
      EXPECT_EQ(::virDomainResume(subject->domain.handle()), 0);
    }
    subject->expect_at_rest();
    return synced;
  }

  static bool with_memory() {
    return GetParam().mode == Mode::full_state || GetParam().mode == Mode::full_state_paused;
  }
  static bool quiesced() {
    return GetParam().mode == Mode::quiesced || GetParam().mode == Mode::shut_off || GetParam().mode == Mode::copy;
  }

  void expect_log(const rig::ChainState& log, std::uint64_t synced) {
    EXPECT_TRUE(log.unbroken);
    EXPECT_GE(log.records, synced);
  }

  rig::Undo templates;
  std::optional<ProtectedDomain> subject;
  std::optional<rig::Guest> guest;
};

TEST_P(CapturedLog, IsAnUnbrokenPrefix) {
  const std::uint64_t synced = back_up();
  if (subject->domain.is_running()) {
    wait_for_records(synced + 20);  // the point must not have these
    subject->domain.destroy();
  }
  const std::filesystem::path folder = subject->domain.folder() / "restored";
  subject->must({"restore", "latest", "--disks-only", "--to", folder});
  const std::string format = subject->domain.disk_format();
  const std::filesystem::path restored = folder / ("vda." + format);
  if (quiesced()) {
    EXPECT_TRUE(rig::file_system_is_clean(restored, format));
  }
  expect_log(rig::read_log(restored, format), synced);

  subject->must({"restore", "latest", "--replace", "--start"});
  guest->wait_agent();
  if (with_memory()) wait_for_records(synced + 20);  // its writer goes on
  expect_log(guest->check_log(), synced);
}

INSTANTIATE_TEST_SUITE_P(EachMode, CapturedLog,
                         testing::Values(Case{Mode::quiesced, Disk::qcow2}, Case{Mode::unquiesced, Disk::qcow2},
                                         Case{Mode::paused, Disk::qcow2}, Case{Mode::shut_off, Disk::qcow2},
                                         Case{Mode::copy, Disk::qcow2}, Case{Mode::full_state, Disk::qcow2},
                                         Case{Mode::full_state_paused, Disk::qcow2}),
                         case_name);
INSTANTIATE_TEST_SUITE_P(EachDisk, CapturedLog,
                         testing::Values(Case{Mode::quiesced, Disk::raw}, Case{Mode::quiesced, Disk::over_template},
                                         Case{Mode::full_state, Disk::raw}),
                         case_name);

}  // namespace
}  // namespace icecore::system_test
