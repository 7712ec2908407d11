// SPDX-License-Identifier: Apache-2.0
// A guest that writes a log in which each record carries its number and a hash over the one before, synced record by
// record, is backed up in every mode from every kind of disk, restored, and booted. The log must be an unbroken prefix
// that has all that was synced before the backup began; after a quiesced point the file system needs no repair. Where a
// second disk has the same log, both are of one instant.
#include <gtest/gtest.h>

#include <ostream>
#include <thread>

#include "rig/guest.hpp"
#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

namespace fs = std::filesystem;

// Several guests may boot at once, each on a part of a core.
constexpr base::Milliseconds k_boot_deadline = std::chrono::minutes(4);

enum class Mode {
  quiesced,
  unquiesced,
  paused,
  shut_off,
  started_meanwhile,  // shut off at the instant, and running when the overlay is merged
  copy,
  transient,
  full_state,
  full_state_paused
};
constexpr Mode k_modes[] = {Mode::quiesced,  Mode::unquiesced,        Mode::paused,
                            Mode::shut_off,  Mode::started_meanwhile, Mode::copy,
                            Mode::transient, Mode::full_state,        Mode::full_state_paused};

enum class Disk {
  qcow2,
  raw,
  over_template,
  deep_chain,  // two images and a raw template below
  volume,
  device,
  qcow2_in_device,
  two_buses,  // vda, and sda on another bus and of another format
  luks        // encrypted by QEMU
};
constexpr Disk k_disks[] = {Disk::qcow2,           Disk::raw,       Disk::over_template,
                            Disk::deep_chain,      Disk::volume,    Disk::device,
                            Disk::qcow2_in_device, Disk::two_buses, Disk::luks};

bool takes_memory(Mode mode) { return mode == Mode::full_state || mode == Mode::full_state_paused; }

std::string_view name_of(Mode mode) {
  switch (mode) {
    case Mode::quiesced: return "Quiesced";
    case Mode::unquiesced: return "Unquiesced";
    case Mode::paused: return "Paused";
    case Mode::shut_off: return "ShutOff";
    case Mode::started_meanwhile: return "StartedMeanwhile";
    case Mode::copy: return "Copy";
    case Mode::transient: return "Transient";
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
    case Disk::deep_chain: return "DeepChain";
    case Disk::volume: return "Volume";
    case Disk::device: return "Device";
    case Disk::qcow2_in_device: return "Qcow2InDevice";
    case Disk::two_buses: return "TwoBuses";
    case Disk::luks: return "Luks";
  }
  return "";
}

struct Case {
  Mode mode;
  Disk disk;
  bool operator==(const Case&) const = default;
};
std::string case_name(const testing::TestParamInfo<Case>& info) {
  return fmt::format("{}_{}", name_of(info.param.mode), name_of(info.param.disk));
}
void PrintTo(const Case& subject, std::ostream* out) { *out << name_of(subject.mode) << ' ' << name_of(subject.disk); }

class CapturedLog : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    ICECORE_NEEDS("root", "libvirt", "icecore", "guest");
    subject.emplace(rig::DomainOptions{.disks = disks(), .transient = mode() == Mode::transient});
    name_overlay_folder();
    subject->init();
    subject->domain.start();
    guest.emplace(subject->domain);
    guest->wait_agent(k_boot_deadline);
    start_writer();
    wait_for_records(20);
  }

  static Mode mode() { return GetParam().mode; }
  static Disk disk() { return GetParam().disk; }
  static bool with_memory() { return takes_memory(mode()); }
  static bool on_device() { return disk() == Disk::device || disk() == Disk::qcow2_in_device; }
  static bool quiesced() {
    return mode() == Mode::quiesced || mode() == Mode::shut_off || mode() == Mode::started_meanwhile ||
           mode() == Mode::copy;
  }

  // ---- the domain
  std::vector<rig::DiskOptions> disks() {
    const rig::ImageOptions qcow2{.file_system = true};
    const rig::ImageOptions raw{.format = "raw", .file_system = true};
    switch (disk()) {
      case Disk::qcow2: return {{.image = qcow2}};
      case Disk::raw: return {{.image = raw}};
      case Disk::over_template: return {{.image = {.backing = make_layer("template.qcow2", qcow2)}}};
      case Disk::deep_chain: return {{.image = {.backing = make_layers()}}};
      case Disk::volume: return {{.image = qcow2, .kind = rig::DiskKind::volume}};
      case Disk::device: return {{.image = raw, .kind = rig::DiskKind::block}};
      case Disk::qcow2_in_device: return {{.image = qcow2, .kind = rig::DiskKind::block}};
      case Disk::two_buses: return {{.image = qcow2}, {.target = "sda", .bus = "scsi", .image = raw}};
      case Disk::luks: return {{.image = {.file_system = true, .passphrase = "correct horse"}}};
    }
    return {};
  }
  fs::path make_layer(const std::string& name, const rig::ImageOptions& options) {
    const fs::path path = templates.path() / name;
    rig::make_image(path, options);
    return path;
  }
  fs::path make_layers() {
    const fs::path bottom = make_layer("template.raw", {.format = "raw", .file_system = true});
    const fs::path middle = make_layer("middle.qcow2", {.backing = bottom, .backing_format = "raw"});
    return make_layer("top.qcow2", {.backing = middle});
  }
  void name_overlay_folder() {
    if (!on_device()) return;
    const fs::path folder = subject->domain.folder() / "overlays";
    fs::create_directory(folder);
    fs::permissions(folder, fs::perms(0755));
    subject->environment["ICECORE_DEVICE_OVERLAY_DIR"] = folder;
  }

  void start_writer() {
    if (disk() == Disk::two_buses) return guest->start_paired_writer("/mnt/log", "/disks/sda/log");
    guest->start_writer();
  }
  void wait_for_records(std::uint64_t count) {
    const base::Stopwatch watch;
    while (guest->check_log().records < count) ASSERT_LT(watch.elapsed(), std::chrono::minutes(2));
  }

  // ---- the backup
  static std::vector<std::string> words() {
    switch (mode()) {
      case Mode::quiesced: return {"--quiesce=required"};
      case Mode::unquiesced: return {"--quiesce=off"};
      case Mode::copy: return {"--quiesce=required", "--mode=copy"};
      case Mode::full_state: return {"--full-state"};
      case Mode::full_state_paused: return {"--full-state", "--pause"};
      default: return {};
    }
  }

  // Brings the domain where the mode wants it and backs it up. Returns what the log had before.
  std::uint64_t back_up() {
    const std::uint64_t synced = guest->check_log().records;
    std::vector<std::string> arguments = {"backup", subject->domain.name()};
    for (const std::string& word : words()) arguments.push_back(word);
    if (mode() == Mode::shut_off || mode() == Mode::started_meanwhile) guest->shut_down();
    if (mode() == Mode::paused) {
      EXPECT_EQ(::virDomainSuspend(subject->domain.handle()), 0);
    }
    if (mode() == Mode::started_meanwhile) {
      back_up_and_start(arguments);
    } else {
      subject->must(arguments);
    }
    if (mode() == Mode::paused) {
      EXPECT_EQ(::virDomainResume(subject->domain.handle()), 0);
    }
    subject->expect_at_rest();
    return synced;
  }

  void back_up_and_start(const std::vector<std::string>& arguments) {
    rig::Environment environment = subject->environment;
    environment["ICECORE_FAILPOINTS"] = "backup.fact.reading=pause";
    rig::IcecoreRun run(subject->with_options(arguments), environment);
    run.wait_failpoint();
    subject->domain.start();
    guest->wait_agent(k_boot_deadline);
    start_writer();
    run.go_on();
    const auto outcome = run.wait();
    EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  }

  // ---- what came back
  static void expect_log(const rig::ChainState& log, std::uint64_t synced) {
    EXPECT_TRUE(log.unbroken);
    EXPECT_GE(log.records, synced);
  }
  // Of two logs that get the same records one after the other.
  static void expect_one_instant(const rig::ChainState& first, const rig::ChainState& second) {
    EXPECT_TRUE(second.unbroken);
    EXPECT_LE(second.records, first.records);
    EXPECT_GE(second.records + 1, first.records);
  }

  void expect_images(const fs::path& folder, std::uint64_t synced) {
    const rig::ChainState log = read_image(folder, "vda");
    expect_log(log, synced);
    if (disk() == Disk::two_buses) expect_one_instant(log, read_image(folder, "sda"));
  }
  rig::ChainState read_image(const fs::path& folder, const std::string& target) {
    const std::string format = subject->domain.disk_format(target);
    const fs::path image = folder / (target + ".as-the-guest-reads-it");
    rig::copy_raw(folder / (target + "." + format), format, subject->domain.passphrase(target), image);
    if (quiesced()) {
      EXPECT_TRUE(rig::file_system_is_clean(image, "raw")) << target;
    }
    return rig::read_log(image, "raw");
  }

  void expect_in_guest(std::uint64_t synced) {
    guest->stop_writer();
    const rig::ChainState log = guest->check_log();
    expect_log(log, synced);
    if (disk() == Disk::two_buses) expect_one_instant(log, guest->check_log("/disks/sda/log"));
  }

  rig::TestFolder templates;
  std::optional<ProtectedDomain> subject;
  std::optional<rig::Guest> guest;
};

TEST_P(CapturedLog, IsAnUnbrokenPrefix) {
  const std::uint64_t synced = back_up();
  if (subject->domain.is_running()) {
    wait_for_records(synced + 20);  // the point must not have these
    subject->domain.destroy();
  }
  const fs::path folder = subject->domain.folder() / "restored";
  subject->must({"restore", "latest", "--disks-only", "--to", folder});
  expect_images(folder, synced);

  std::vector<std::string> restore = {"restore", "latest", "--replace", "--start"};
  if (on_device()) restore.push_back("--overwrite-device");
  subject->must(restore);
  guest->wait_agent(k_boot_deadline);
  if (with_memory()) wait_for_records(synced + 20);  // its writer goes on
  expect_in_guest(synced);
}

// Every mode and every kind of disk.
const std::vector<Case> k_each = {{Mode::quiesced, Disk::qcow2},
                                  {Mode::unquiesced, Disk::raw},
                                  {Mode::paused, Disk::over_template},
                                  {Mode::shut_off, Disk::deep_chain},
                                  {Mode::started_meanwhile, Disk::qcow2_in_device},
                                  {Mode::copy, Disk::volume},
                                  {Mode::transient, Disk::device},
                                  {Mode::full_state, Disk::two_buses},
                                  {Mode::full_state_paused, Disk::raw},
                                  {Mode::quiesced, Disk::two_buses},
                                  {Mode::quiesced, Disk::luks}};

std::vector<Case> all_others() {
  std::vector<Case> cases;
  const auto is_new = [](const Case& one) { return std::find(k_each.begin(), k_each.end(), one) == k_each.end(); };
  for (const Mode mode : k_modes) {
    for (const Disk disk : k_disks) {
      if (disk == Disk::luks && takes_memory(mode)) continue;  // refused
      if (is_new({mode, disk})) cases.push_back({mode, disk});
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Each, CapturedLog, testing::ValuesIn(k_each), case_name);
// Labelled `long`.
INSTANTIATE_TEST_SUITE_P(EachModeOnEachDisk, CapturedLog, testing::ValuesIn(all_others()), case_name);

}  // namespace
}  // namespace icecore::system_test
