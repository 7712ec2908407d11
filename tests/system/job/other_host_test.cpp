// SPDX-License-Identifier: Apache-2.0
// Restored on another host, which has nothing of the first but a copy of the repository and the key: another libvirt
// with folders of its own, that sees neither the first one's disks nor the kernel its guests booted from. Kernel,
// network devices and installed packages are those of the one machine the tests have.
#include <gtest/gtest.h>

#include "base/durable_file.hpp"
#include "base/id.hpp"
#include "base/process.hpp"
#include "rig/guest.hpp"
#include "rig/private_libvirt.hpp"
#include "rig/requirements.hpp"
#include "rig/xml_query.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

namespace fs = std::filesystem;

constexpr base::Milliseconds k_boot_deadline = std::chrono::minutes(4);
constexpr const char* k_boot_id = "cat /proc/sys/kernel/random/boot_id";
constexpr const char* k_code = "/usr/share/OVMF/OVMF_CODE_4M.fd";
constexpr const char* k_variables = "/usr/share/OVMF/OVMF_VARS_4M.fd";

void tool(std::vector<std::string> arguments) {
  base::run_checked({.arguments = std::move(arguments)}, std::chrono::minutes(1));
}

// A network that leads nowhere; its name.
std::string make_network(rig::Undo& undo, const std::string& uri, const fs::path& folder) {
  const std::string name = "icb-" + base::random_id(4);
  const std::string xml =
      fmt::format("<network><name>{0}</name><bridge name='{0}' stp='off'/><dns enable='no'/></network>", name);
  base::write_durably(folder / "network.xml", base::as_bytes(xml));
  undo.network(name);
  tool({"virsh", "-q", "-c", uri, "net-create", folder / "network.xml"});
  return name;
}

rig::DomainOptions with_card(const std::string& network) {
  rig::DomainOptions options;
  options.disks = {{.image = {.file_system = true}}};
  options.devices_xml =
      fmt::format("<interface type='network'><source network='{}'/><model type='virtio'/></interface>", network);
  return options;
}
rig::DomainOptions with_firmware(rig::DomainOptions options) {
  options.memory_mib = 256;
  options.os_xml =
      fmt::format("<loader readonly='yes' type='pflash'>{}</loader><nvram template='{}'/>", k_code, k_variables);
  options.devices_xml += "<tpm model='tpm-tis'><backend type='emulator' version='2.0'/></tpm>";
  return options;
}

fs::path nvram_of(const rig::TestDomain& domain) { return rig::xml_value(domain.live_xml(), "/domain/os/nvram"); }
fs::path tpm_state_of(const std::string& uuid) {
  return fs::path("/var/lib/libvirt/swtpm") / uuid / "tpm2/tpm2-00.permall";
}

// What only the other host has.
class OtherHost {
 public:
  OtherHost()
      : undo_(libvirt_.uri()), folder_(rig::make_folder(undo_)), network_(make_network(undo_, uri(), folder_)) {}

  std::string uri() const { return libvirt_.uri(); }
  const std::string& network() const { return network_; }
  fs::path disks() const { return folder_ / "disks"; }
  fs::path outside(const fs::path& path) const { return libvirt_.seen_from_outside(path); }

  // The first host is gone, but for the copies of its repository and its key.
  void take_over(const ProtectedDomain& subject) {
    tool({"cp", "-a", subject.repository(), folder_ / "repository"});
    tool({"cp", "-a", subject.key_file(), folder_ / "key"});
    libvirt_.hide(subject.domain.folder());
    libvirt_.hide(fs::path(rig::guest_image()).parent_path());
  }

  base::Outcome icecore(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), rig::icecore_path());
    arguments.insert(arguments.end(), {"--connect", uri(), "--repository", folder_ / "repository", "--key-file",
                                       folder_ / "key", "--state-dir", folder_ / "state"});
    return base::run({.arguments = libvirt_.inside(std::move(arguments))}, std::chrono::minutes(3));
  }
  base::Outcome must(std::vector<std::string> arguments) const {
    base::Outcome outcome = icecore(std::move(arguments));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output << outcome.output;
    return outcome;
  }
  base::Outcome restore(const ProtectedDomain& subject, const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"restore",       "latest",
                                          "--to",          disks(),
                                          "--map-network", network_of(subject.domain.inactive_xml()) + "=" + network_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return must(std::move(arguments));
  }

  static std::string network_of(const std::string& xml) {
    return rig::xml_value(xml, "/domain/devices/interface/source/@network");
  }

 private:
  rig::PrivateLibvirt libvirt_;
  rig::Undo undo_;
  fs::path folder_;
  std::string network_;
};

class OnAnotherHost : public testing::Test {
 protected:
  void SetUp() override {
    ICECORE_NEEDS("root", "libvirt", "icecore", "guest", "program:swtpm", "program:swtpm_setup");
    ASSERT_TRUE(fs::exists(k_variables)) << "the package ovmf is not installed";
    here_.emplace();
    network_ = make_network(here_->undo(), "qemu:///system", here_->path());
    there_.emplace();
  }

  // Booted, and writing its log.
  void begin(rig::DomainOptions options) {
    subject_.emplace(std::move(options));
    subject_->init();
    subject_->domain.start();
    rig::Guest guest(subject_->domain);
    guest.wait_agent(k_boot_deadline);
    guest.start_writer();
    wait_for_records(guest, 20);
    boot_id_ = guest.shell(k_boot_id);
  }
  // Backed up, and its host lost. Returns what the log had before.
  std::uint64_t back_up(const std::vector<std::string>& more = {}) {
    rig::Guest guest(subject_->domain);
    const std::uint64_t synced = guest.check_log().records;
    uptime_ = uptime(guest);
    std::vector<std::string> arguments = {"backup", subject_->domain.name()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    subject_->must(arguments);
    if (subject_->domain.is_running()) subject_->domain.destroy();
    there_->take_over(*subject_);
    return synced;
  }

  // The domain as the other host's libvirt has it.
  std::unique_ptr<rig::TestDomain> arrived(const std::string& name) const {
    rig::DomainOptions options;
    options.disks = {{.existing = there_->disks() / (name + ".vda.qcow2")}};
    options.name = name;
    options.uri = there_->uri();
    return std::make_unique<rig::TestDomain>(std::move(options));
  }
  std::unique_ptr<rig::TestDomain> arrived() const { return arrived(subject_->domain.name()); }

  static void wait_for_records(rig::Guest& guest, std::uint64_t count) {
    const base::Stopwatch watch;
    while (guest.check_log().records < count) ASSERT_LT(watch.elapsed(), std::chrono::minutes(2));
  }
  static double uptime(rig::Guest& guest) { return std::stod(guest.shell("cat /proc/uptime")); }
  static int state_of(const rig::TestDomain& domain) {
    int state = -1;
    virDomainGetState(domain.handle(), &state, nullptr, 0);
    return state;
  }

  void expect_goes_on(rig::TestDomain& domain, std::uint64_t synced) const {
    rig::Guest guest(domain);
    guest.wait_agent(k_boot_deadline);
    EXPECT_EQ(guest.shell(k_boot_id), boot_id_);
    EXPECT_GE(uptime(guest), uptime_);
    const std::uint64_t arrived = guest.check_log().records;
    EXPECT_GE(arrived, synced);
    wait_for_records(guest, arrived + 20);
    guest.stop_writer();
    EXPECT_TRUE(guest.check_log().unbroken);
  }
  static void expect_booted_anew(rig::TestDomain& domain, std::uint64_t synced, const std::string& old_boot_id) {
    rig::Guest guest(domain);
    guest.wait_agent(k_boot_deadline);
    EXPECT_NE(guest.shell(k_boot_id), old_boot_id);
    const rig::ChainState log = guest.check_log();
    EXPECT_TRUE(log.unbroken);
    EXPECT_GE(log.records, synced);
  }
  void expect_at_home(const rig::TestDomain& domain) const {
    for (const std::string& xml : {domain.live_xml(), domain.inactive_xml()}) {
      EXPECT_EQ(OtherHost::network_of(xml), there_->network());
      EXPECT_EQ(fs::path(rig::xml_value(xml, "/domain/devices/disk/source/@file")).parent_path(), there_->disks());
      EXPECT_EQ(fs::path(rig::xml_value(xml, "/domain/os/kernel")).parent_path(), there_->disks());
    }
  }

  std::optional<rig::TestFolder> here_;
  std::string network_;
  std::optional<OtherHost> there_;
  std::optional<ProtectedDomain> subject_;
  std::string boot_id_;
  double uptime_ = 0;
};

TEST_F(OnAnotherHost, AGuestGoesOnWithItsMemoryFirmwareAndTpm) {
  begin(with_firmware(with_card(network_)));
  const std::uint64_t synced = back_up({"--full-state"});
  there_->restore(*subject_, {});
  const auto domain = arrived();
  expect_at_home(*domain);
  expect_goes_on(*domain, synced);
  EXPECT_EQ(nvram_of(*domain), there_->disks() / (domain->name() + "_VARS.fd"));
  EXPECT_EQ(base::read_file(there_->outside(nvram_of(*domain))), base::read_file(nvram_of(subject_->domain)));
  EXPECT_TRUE(fs::exists(there_->outside(tpm_state_of(subject_->domain.uuid()))));
}

TEST_F(OnAnotherHost, AGuestWaitsPausedAndIsBackedUpThereOnceItGoesOn) {
  begin(with_card(network_));
  const std::uint64_t synced = back_up({"--full-state"});
  there_->restore(*subject_, {"--paused"});
  const auto domain = arrived();
  expect_at_home(*domain);
  EXPECT_EQ(state_of(*domain), VIR_DOMAIN_PAUSED);
  ASSERT_EQ(virDomainResume(domain->handle()), 0);
  expect_goes_on(*domain, synced);
  there_->must({"backup", domain->name(), "--full-state"});
  EXPECT_EQ(base::parse_json(there_->must({"list", "--json"}).output, "list").at("points").size(), 2U);
}

TEST_F(OnAnotherHost, WithoutItsMemoryAGuestBootsThere) {
  begin(with_card(network_));
  const std::uint64_t synced = back_up({"--full-state"});
  there_->restore(*subject_, {"--discard-memory", "--start"});
  const auto domain = arrived();
  expect_at_home(*domain);
  expect_booted_anew(*domain, synced, boot_id_);
}

TEST_F(OnAnotherHost, FirmwareVariablesAndTpmStateComeAlongUnderAnotherName) {
  begin(with_firmware(with_card(network_)));
  const fs::path nvram = nvram_of(subject_->domain);
  const std::uint64_t synced = back_up({"--quiesce=required"});
  const std::string name = subject_->domain.name() + "-moved";
  there_->restore(*subject_, {"--as", name});
  const auto domain = arrived(name);
  const std::string xml = domain->inactive_xml();
  const fs::path moved = rig::xml_value(xml, "/domain/os/nvram");
  EXPECT_EQ(moved.parent_path(), there_->disks());
  EXPECT_EQ(base::read_file(moved), base::read_file(nvram));
  const std::string uuid = rig::xml_value(xml, "/domain/uuid");
  EXPECT_EQ(base::read_file(there_->outside(tpm_state_of(uuid))),
            base::read_file(tpm_state_of(subject_->domain.uuid())));
  domain->start();
  expect_at_home(*domain);
  expect_booted_anew(*domain, synced, boot_id_);
}

}  // namespace
}  // namespace icecore::system_test
