// SPDX-License-Identifier: Apache-2.0
// A guest that writes a log in which each record carries its number and a hash over the one before, synced record by
// record, is backed up in every mode from every kind of disk, restored, and booted. The log must be an unbroken prefix
// that has all that was synced before the freeze and nothing that was written after the thaw; after a quiesced point
// the file system needs no repair. Where a second disk has the same log, both are of one instant. And the domain's own
// disk lost nothing to the overlays.
#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "rig/guest.hpp"
#include "rig/requirements.hpp"
#include "system/job/captured_log_case.hpp"
#include "system/job/log_bounds.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

namespace fs = std::filesystem;

// Several guests may boot at once, each on a part of a core.
constexpr base::Milliseconds k_boot_deadline = std::chrono::minutes(4);
constexpr std::uint64_t k_more = 20;  // records that tell one instant from another
constexpr std::uint64_t k_no_end = std::numeric_limits<std::uint64_t>::max();

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
    wait_for_records(*guest, k_more);
  }

  static Mode mode() { return GetParam().mode; }
  static Disk disk() { return GetParam().disk; }

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
    if (!GetParam().is_on_device()) return;
    const fs::path folder = subject->domain.folder() / "overlays";
    fs::create_directory(folder);
    fs::permissions(folder, fs::perms(0755));
    subject->environment["ICECORE_DEVICE_OVERLAY_DIR"] = folder;
  }

  void start_writer() {
    if (disk() == Disk::two_buses) return guest->start_paired_writer("/mnt/log", "/disks/sda/log");
    guest->start_writer();
  }

  // ---- the backup
  std::vector<std::string> backup_words() const {
    std::vector<std::string> words = {"backup", subject->domain.name()};
    if (GetParam().is_quiesced() && !GetParam().stands_still()) words.push_back("--quiesce=required");
    if (mode() == Mode::unquiesced) words.push_back("--quiesce=off");
    if (mode() == Mode::copy) words.push_back("--mode=copy");
    if (mode() == Mode::layer) words.push_back("--change-map=layer");
    if (GetParam().takes_memory()) words.push_back("--full-state");
    if (mode() == Mode::full_state_paused) words.push_back("--pause");
    return words;
  }

  Bounds back_up() {
    if (GetParam().is_of_second_point()) {
      subject->must(backup_words());
      wait_for_records(*guest, guest->check_log().records + k_more);
    }
    const Bounds bounds = GetParam().stands_still() ? back_up_standing_still() : back_up_writing();
    if (GetParam().is_of_second_point()) expect_increments();
    if (mode() == Mode::layer) subject->must({"recover", subject->domain.name(), "--merge-layers"});
    subject->expect_at_rest();
    return bounds;
  }

  // The guest writes on, and is asked right before the freeze and right after the thaw.
  Bounds back_up_writing() {
    rig::IcecoreRun run(subject->with_options(backup_words()),
                        paused_at("backup.intent.frozen=pause,backup.fact.thawed=pause"));
    const Bounds bounds = bounds_around(run, {&*guest}).front();
    expect_success(run.wait());
    return bounds;
  }

  // What is on the disk then is what the point has, to the record.
  Bounds back_up_standing_still() {
    const std::uint64_t synced = synced_records(*guest);
    mode() == Mode::paused ? suspend() : guest->shut_down();
    const rig::ChainState log = read_own_disk("vda");
    expect_log(log, {synced, k_no_end});
    mode() == Mode::started_meanwhile ? back_up_and_start() : static_cast<void>(subject->must(backup_words()));
    if (mode() == Mode::paused) {
      EXPECT_EQ(::virDomainResume(subject->domain.handle()), 0);
    }
    return {log.records, log.records};
  }

  void suspend() { ASSERT_EQ(::virDomainSuspend(subject->domain.handle()), 0); }

  void back_up_and_start() {
    rig::IcecoreRun run(subject->with_options(backup_words()), paused_at("backup.fact.reading=pause"));
    run.wait_failpoint();
    subject->domain.start();
    guest->wait_agent(k_boot_deadline);
    start_writer();
    run.go_on();
    expect_success(run.wait());
  }

  rig::Environment paused_at(const std::string& failpoints) const {
    rig::Environment environment = subject->environment;
    environment["ICECORE_FAILPOINTS"] = failpoints;
    return environment;
  }
  static void expect_success(const rig::IcecoreOutcome& outcome) {
    EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  }

  void expect_increments() const {
    const base::Json point = subject->must({"show", "latest", "--json"}).json();
    for (const base::Json& one : point.at("disks")) {
      const bool has_bitmap = subject->domain.disk_format(one.at("target")) == "qcow2";
      EXPECT_EQ(one.at("change_map"), mode() == Mode::layer ? "layer" : has_bitmap ? "bitmap" : "scan") << one.dump();
    }
  }

  // ---- what came back
  // Of two logs that get the same records one after the other.
  static void expect_one_instant(const rig::ChainState& first, const rig::ChainState& second) {
    EXPECT_TRUE(second.unbroken);
    EXPECT_LE(second.records, first.records);
    EXPECT_GE(second.records + 1, first.records);
  }

  // The guest writes on behind the point; then the power goes.
  void go_on_and_end(Bounds bounds) {
    if (!subject->domain.is_running()) return;
    wait_for_records(*guest, bounds.most + k_more);
    subject->domain.destroy();
    expect_own_disks({bounds.most + k_more - 1, k_no_end});
  }

  void expect_restored_disks(Bounds bounds) {
    const fs::path folder = subject->domain.folder() / "restored";
    subject->must({"restore", "latest", "--disks-only", "--to", folder});
    expect_disks(bounds, GetParam().is_quiesced(), [&](const std::string& target) {
      return folder / (target + "." + subject->domain.disk_format(target));
    });
  }
  void expect_own_disks(Bounds bounds, bool clean = false) {
    expect_disks(bounds, clean, [&](const std::string& target) { return subject->domain.disk_path(target); });
  }
  template <typename ImageOf>
  void expect_disks(Bounds bounds, bool clean, const ImageOf& image_of) {
    const rig::ChainState log = read_image(image_of("vda"), "vda", clean);
    expect_log(log, bounds);
    if (disk() == Disk::two_buses) expect_one_instant(log, read_image(image_of("sda"), "sda", clean));
  }
  rig::ChainState read_own_disk(const std::string& target) {
    return read_image(subject->domain.disk_path(target), target, false);
  }
  // What lies on a device comes back raw.
  std::string format_now(const std::string& target) const {
    return replaced && GetParam().is_on_device() ? "raw" : subject->domain.disk_format(target);
  }
  rig::ChainState read_image(const fs::path& image, const std::string& target, bool clean) {
    const fs::path raw = subject->domain.folder() / (target + ".as-the-guest-reads-it");
    rig::copy_raw(image, format_now(target), subject->domain.passphrase(target), raw);
    if (clean) {
      EXPECT_TRUE(rig::file_system_is_clean(raw, "raw")) << image;
    }
    return rig::read_log(raw, "raw");
  }

  rig::ChainState expect_in_guest(Bounds bounds) {
    guest->stop_writer();
    const rig::ChainState log = guest->check_log();
    expect_log(log, bounds);
    if (disk() == Disk::two_buses) expect_one_instant(log, guest->check_log("/disks/sda/log"));
    return log;
  }

  // The restored guest goes on with what it had in memory: its disks are of that instant when nothing on them is amiss.
  void expect_memory_fits_disks(Bounds bounds) {
    wait_for_records(*guest, bounds.most + k_more);
    const rig::ChainState log = expect_in_guest({bounds.most + k_more, k_no_end});
    guest->shut_down();
    expect_own_disks({log.records, log.records}, true);
  }

  rig::TestFolder templates;
  std::optional<ProtectedDomain> subject;
  std::optional<rig::Guest> guest;
  bool replaced = false;  // by the point
};

TEST_P(CapturedLog, IsAnUnbrokenPrefix) {
  const Bounds bounds = back_up();
  go_on_and_end(bounds);
  expect_restored_disks(bounds);

  std::vector<std::string> restore = {"restore", "latest", "--replace", "--start"};
  if (GetParam().is_on_device()) restore.push_back("--overwrite-device");
  subject->must(restore);
  replaced = true;
  guest->wait_agent(k_boot_deadline);
  GetParam().takes_memory() ? expect_memory_fits_disks(bounds) : static_cast<void>(expect_in_guest(bounds));
}

// Every mode and every kind of disk.
const std::vector<Case> k_each = {{Mode::quiesced, Disk::qcow2},
                                  {Mode::unquiesced, Disk::raw},
                                  {Mode::paused, Disk::over_template},
                                  {Mode::shut_off, Disk::deep_chain},
                                  {Mode::started_meanwhile, Disk::qcow2_in_device},
                                  {Mode::copy, Disk::volume},
                                  {Mode::transient, Disk::device},
                                  {Mode::increment, Disk::qcow2},
                                  {Mode::layer, Disk::two_buses},
                                  {Mode::full_state, Disk::two_buses},
                                  {Mode::full_state_paused, Disk::raw},
                                  {Mode::quiesced, Disk::two_buses},
                                  {Mode::quiesced, Disk::luks}};

std::vector<Case> all_others() {
  std::vector<Case> cases;
  const auto is_new = [](const Case& one) { return std::find(k_each.begin(), k_each.end(), one) == k_each.end(); };
  for (const Mode mode : k_modes) {
    for (const Disk disk : k_disks) {
      const Case one{mode, disk};
      if (one.is_possible() && is_new(one)) cases.push_back(one);
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Each, CapturedLog, testing::ValuesIn(k_each), case_name);
// Labelled `long`.
INSTANTIATE_TEST_SUITE_P(EachModeOnEachDisk, CapturedLog, testing::ValuesIn(all_others()), case_name);

}  // namespace
}  // namespace icecore::system_test
