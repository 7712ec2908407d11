// SPDX-License-Identifier: Apache-2.0
// What a domain has beside its disks: the firmware's variables, the TPM's state, a kernel booted from the host.
#include <gmock/gmock.h>

#include <fstream>

#include "base/durable_file.hpp"
#include "rig/guest.hpp"
#include "rig/requirements.hpp"
#include "rig/xml_query.hpp"
#include "system/job/expect_error.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

namespace fs = std::filesystem;

using testing::HasSubstr;
using testing::Not;

constexpr const char* k_nvram_path = "/domain/os/nvram";
constexpr const char* k_template = "/usr/share/OVMF/OVMF_VARS_4M.fd";

class Firmware : public testing::Test {
 protected:
  void SetUp() override {
    ICECORE_NEEDS("root", "libvirt", "icecore");
    ASSERT_TRUE(fs::exists(k_template)) << "the package ovmf is not installed";
  }

  static rig::DomainOptions with_nvram() {
    rig::DomainOptions options;
    options.kernel = false;
    options.os_xml = fmt::format(
        "<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader><nvram template='{}'/>",
        k_template);
    return options;
  }
  static rig::DomainOptions with_tpm() {
    rig::DomainOptions options;
    options.kernel = false;
    options.devices_xml = "<tpm model='tpm-tis'><backend type='emulator' version='2.0'/></tpm>";
    return options;
  }

  static fs::path nvram_of(const std::string& xml) { return rig::xml_value(xml, k_nvram_path); }
  static fs::path tpm_folder(const std::string& uuid) { return fs::path("/var/lib/libvirt/swtpm") / uuid / "tpm2"; }

  // As the firmware does when the guest sets a variable: in the file's middle, its length stays.
  static void set_variable(const fs::path& file, const std::string& value) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(200'000);
    stream << value;
    ASSERT_TRUE(stream.flush());
  }
  // Writes to the file that waits to take this one's place.
  static void tamper(const fs::path& file) {
    for (const auto& waiting : fs::directory_iterator(file.parent_path())) {
      if (!waiting.path().string().starts_with(file.string() + ".icecore-")) continue;
      std::fstream(waiting.path(), std::ios::in | std::ios::out | std::ios::binary) << "tampered";
      return;
    }
    ADD_FAILURE() << "nothing waits beside " << file;
  }
  static base::Json blob_of(const ProtectedDomain& subject, const std::string& kind) {
    const base::Json point = subject.must({"show", "latest", "--json"}).json();
    for (const base::Json& blob : point.at("blobs")) {
      if (blob.at("kind") == kind) return blob;
    }
    ADD_FAILURE() << "the point has no " << kind;
    return {};
  }
};

TEST_F(Firmware, NvramIsPartOfAPoint) {
  ProtectedDomain subject(with_nvram());
  subject.init();
  subject.domain.start_paused();
  const fs::path nvram = nvram_of(subject.domain.live_xml());
  set_variable(nvram, "Boot0001");
  const auto outcome = subject.must({"backup", subject.domain.name()});
  EXPECT_THAT(outcome.error_output, Not(HasSubstr("NVRAM")));
  const base::Json blob = blob_of(subject, "nvram");
  EXPECT_EQ(blob.at("path"), nvram.string());
  EXPECT_EQ(blob.at("size"), fs::file_size(nvram));
  EXPECT_EQ(blob.at("details").at("template"), k_template);
  EXPECT_EQ(blob.at("details").at("format"), "raw");
  subject.expect_at_rest();
}

// The persistent XML of such a domain names no file while it is shut off.
TEST_F(Firmware, NvramThatLibvirtChoseIsFoundOfAShutOffDomainToo) {
  rig::DomainOptions options;
  options.kernel = false;
  options.os_attributes = "firmware='efi'";
  options.os_xml = "<firmware><feature enabled='no' name='secure-boot'/></firmware>";
  ProtectedDomain subject(options);
  subject.init();
  subject.must({"backup", subject.domain.name()});
  EXPECT_TRUE(subject.must({"show", "latest", "--json"}).json().at("blobs").empty()) << "nothing was there yet";
  subject.domain.start_paused();
  const fs::path nvram = nvram_of(subject.domain.live_xml());
  subject.domain.destroy();
  EXPECT_THAT(subject.must({"explain", subject.domain.name()}).output, HasSubstr(nvram.string()));
  subject.must({"backup", subject.domain.name()});
  EXPECT_EQ(blob_of(subject, "nvram").at("path"), nvram.string());
}

TEST_F(Firmware, TpmStateIsPartOfAPoint) {
  ICECORE_NEEDS("program:swtpm", "program:swtpm_setup");
  ProtectedDomain subject(with_tpm());
  subject.init();
  subject.domain.start_paused();
  const auto outcome = subject.must({"backup", subject.domain.name()});
  EXPECT_THAT(outcome.error_output, Not(HasSubstr("TPM")));
  const base::Json blob = blob_of(subject, "tpm");
  EXPECT_EQ(blob.at("path"), (tpm_folder(subject.domain.uuid()) / "tpm2-00.permall").string());
  EXPECT_EQ(blob.at("details").at("layout"), "tpm2");
  EXPECT_THAT(blob.at("details").at("swtpm"), testing::StartsWith("0."));
  EXPECT_THAT(subject.must({"show", "latest"}).output, HasSubstr("tpm2-00.permall"));
  subject.expect_at_rest();
}

TEST_F(Firmware, AKernelOfTheHostIsPartOfAPointAndOneThatIsGoneIsNamed) {
  ICECORE_NEEDS("guest");
  rig::DomainOptions options;
  options.kernel = false;
  rig::TestFolder host;
  const fs::path kernel = host.path() / "vmlinuz";
  const fs::path initrd = host.path() / "initrd";
  base::write_durably(kernel, base::Bytes(300'000, std::byte{7}), 0644);
  options.os_xml = fmt::format("<kernel>{}</kernel><initrd>{}</initrd>", kernel.string(), initrd.string());
  ProtectedDomain subject(options);
  subject.init();
  EXPECT_THAT(subject.must({"explain", subject.domain.name()}).output, HasSubstr("initrd '" + initrd.string()));
  const auto outcome = subject.must({"backup", subject.domain.name()});
  EXPECT_THAT(outcome.error_output, HasSubstr("the initrd it boots from is not in the backup"));
  EXPECT_EQ(blob_of(subject, "kernel").at("size"), 300'000);
  subject.must({"verify", "--read-data"});
}

// ---- restored

// OVMF itself writes variables while it boots, and the guest's kernel comes from the host.
TEST_F(Firmware, AUefiGuestWithATpmBootsFromWhatComesBack) {
  ICECORE_NEEDS("guest", "program:swtpm", "program:swtpm_setup");
  rig::DomainOptions options = with_nvram();
  options.kernel = true;
  options.memory_mib = 256;
  options.devices_xml = with_tpm().devices_xml;
  options.disks = {{.image = {.file_system = true}}};
  ProtectedDomain subject(options);
  subject.init();
  subject.domain.start();
  rig::Guest guest(subject.domain);
  guest.wait_agent();
  guest.write_file("/mnt/before", "the backup");
  const fs::path nvram = nvram_of(subject.domain.live_xml());
  const base::Bytes variables = base::read_file(nvram);
  EXPECT_NE(variables, base::read_file(k_template)) << "the firmware has written nothing";
  subject.must({"backup", subject.domain.name(), "--quiesce=required"});
  EXPECT_EQ(subject.must({"show", "latest", "--json"}).json().at("blobs").size(), 4U);
  subject.domain.destroy();
  fs::remove(nvram);
  fs::remove_all(tpm_folder(subject.domain.uuid()));
  subject.must({"restore", "latest", "--replace"});
  EXPECT_EQ(base::read_file(nvram), variables);
  subject.domain.start();
  guest.wait_agent();
  EXPECT_EQ(guest.shell("cat /mnt/before"), "the backup");
  subject.expect_at_rest();
}

TEST_F(Firmware, ReplaceBringsNvramAndTpmStateBack) {
  ICECORE_NEEDS("program:swtpm", "program:swtpm_setup");
  rig::DomainOptions options = with_nvram();
  options.devices_xml = with_tpm().devices_xml;
  ProtectedDomain subject(options);
  subject.init();
  subject.domain.start_paused();
  const fs::path nvram = nvram_of(subject.domain.live_xml());
  const fs::path state = tpm_folder(subject.domain.uuid()) / "tpm2-00.permall";
  set_variable(nvram, "Boot0001");
  const base::Bytes variables = base::read_file(nvram);
  const base::Bytes tpm = base::read_file(state);
  subject.must({"backup", subject.domain.name()});
  subject.domain.destroy();
  set_variable(nvram, "changed!");
  fs::resize_file(state, 100);
  const auto dry = subject.must({"restore", "latest", "--replace", "--dry-run"});
  for (const std::string& place : {subject.domain.disk_path().string(), nvram.string(), state.string()})
    EXPECT_THAT(dry.output, testing::ContainsRegex("to " + place + ".*, in place of what is there"));
  for (const fs::path& file : {nvram, state}) {
    rig::IcecoreRun run(subject.with_options({"restore", "latest", "--replace", "--verify"}),
                        {{"ICECORE_FAILPOINTS", "restore.disks_written=pause"}});
    run.wait_failpoint();
    tamper(file);
    run.go_on();
    expect_error(run.wait(), 8, file);
    EXPECT_NE(base::read_file(nvram), variables);
    EXPECT_EQ(fs::file_size(state), 100U) << "the old files stay";
  }
  const auto record = subject.must({"restore", "latest", "--replace", "--verify", "--json"}).json();
  for (const base::Json& file : record.at("files")) EXPECT_EQ(file.at("verified"), true);
  EXPECT_EQ(base::read_file(nvram), variables);
  EXPECT_EQ(base::read_file(state), tpm);
  subject.domain.start_paused();
  EXPECT_EQ(nvram_of(subject.domain.live_xml()), nvram);
  subject.expect_at_rest();
}

TEST_F(Firmware, ACloneHasItsOwnNvramAndTpmState) {
  ICECORE_NEEDS("program:swtpm", "program:swtpm_setup");
  rig::DomainOptions options = with_nvram();
  options.devices_xml = with_tpm().devices_xml;
  ProtectedDomain subject(options);
  subject.init();
  subject.domain.start_paused();
  const fs::path nvram = nvram_of(subject.domain.live_xml());
  set_variable(nvram, "Boot0001");
  subject.must({"backup", subject.domain.name()});
  subject.domain.destroy();
  const std::string name = subject.domain.name() + "-copy";
  subject.domain.undo().domain(name);
  const auto outcome = subject.must({"restore", "latest", "--as", name});
  EXPECT_THAT(outcome.error_output, HasSubstr("has the keys of the original's"));
  EXPECT_THAT(outcome.error_output, Not(HasSubstr("NVRAM")));
  rig::TestDomain copy({.disks = {{.existing = subject.domain.folder() / (name + ".vda.qcow2")}}, .name = name});
  copy.start_paused();
  const fs::path own = nvram_of(copy.live_xml());
  EXPECT_EQ(own, nvram.parent_path() / (name + "_VARS.fd"));
  EXPECT_EQ(base::read_file(own), base::read_file(nvram));
  const std::string uuid = rig::xml_value(copy.live_xml(), "/domain/uuid");
  EXPECT_NE(uuid, subject.domain.uuid());
  const auto ending = [](const fs::path& folder) { return folder / "tpm2-00.permall"; };
  EXPECT_EQ(base::read_file(ending(tpm_folder(uuid))), base::read_file(ending(tpm_folder(subject.domain.uuid()))));
}

TEST_F(Firmware, WithAFolderOfItsOwnTheNvramLiesThere) {
  ProtectedDomain subject(with_nvram());
  subject.init();
  subject.domain.start_paused();
  const base::Bytes variables = base::read_file(nvram_of(subject.domain.live_xml()));
  subject.must({"backup", subject.domain.name()});
  subject.domain.destroy();
  const fs::path folder = subject.domain.folder() / "out";
  const std::string name = subject.domain.name() + "-copy";
  subject.domain.undo().domain(name);
  subject.must({"restore", "latest", "--as", name, "--to", folder});
  EXPECT_EQ(base::read_file(folder / (name + "_VARS.fd")), variables);
  rig::TestDomain copy({.disks = {{.existing = folder / (name + ".vda.qcow2")}}, .name = name});
  copy.start_paused();
  EXPECT_EQ(nvram_of(copy.live_xml()), folder / (name + "_VARS.fd"));
}

TEST_F(Firmware, DisksOnlyPutsTheFilesBesideThem) {
  ICECORE_NEEDS("program:swtpm", "program:swtpm_setup");
  rig::DomainOptions options = with_nvram();
  options.devices_xml = with_tpm().devices_xml;
  ProtectedDomain subject(options);
  subject.init();
  subject.domain.start_paused();
  subject.must({"backup", subject.domain.name()});
  const fs::path folder = subject.domain.folder() / "out";
  const base::Json record = subject.must({"restore", "latest", "--disks-only", "--to", folder, "--json"}).json();
  EXPECT_EQ(record.at("files").size(), 2U);
  EXPECT_EQ(base::read_file(folder / "nvram.fd"), base::read_file(nvram_of(subject.domain.live_xml())));
  EXPECT_TRUE(fs::exists(folder / "tpm2-00.permall"));
}

TEST_F(Firmware, ReplacingOneDiskLeavesTheRestAsItIs) {
  rig::DomainOptions options = with_nvram();
  options.disks = {{.target = "vda"}, {.target = "vdb"}};
  ProtectedDomain subject(options);
  subject.init();
  subject.domain.start_paused();
  const fs::path nvram = nvram_of(subject.domain.live_xml());
  subject.must({"backup", subject.domain.name()});
  subject.domain.destroy();
  set_variable(nvram, "newer");
  const base::Bytes newer = base::read_file(nvram);
  const auto outcome = subject.must({"restore", "latest", "--replace", "--disk", "vdb"});
  EXPECT_EQ(base::read_file(nvram), newer);
  EXPECT_THAT(outcome.error_output, HasSubstr("stay as they are"));
}

// As on another host: the files of this one are moved away.
TEST_F(Firmware, AKernelThisHostHasNotOrNotAsItWasComesBackBesideTheDisks) {
  rig::TestFolder host;
  const fs::path kernel = host.path() / "vmlinuz";
  const base::Bytes old_kernel(300'000, std::byte{7});
  base::write_durably(kernel, old_kernel, 0644);
  rig::DomainOptions options;
  options.kernel = false;
  options.os_xml = fmt::format("<kernel>{}</kernel>", kernel.string());
  ProtectedDomain subject(options);
  subject.init();
  subject.must({"backup", subject.domain.name()});
  const auto restored_kernel = [&](const std::string& name) {
    subject.domain.undo().domain(name);
    subject.must({"restore", "latest", "--as", name});
    rig::TestDomain copy({.disks = {{.existing = subject.domain.folder() / (name + ".vda.qcow2")}}, .name = name});
    return fs::path(rig::xml_value(copy.inactive_xml(), "/domain/os/kernel"));
  };
  EXPECT_EQ(restored_kernel(subject.domain.name() + "-same"), kernel);
  base::write_durably(kernel, base::Bytes(300'000, std::byte{8}), 0644);
  const fs::path of_updated = restored_kernel(subject.domain.name() + "-updated");
  EXPECT_EQ(of_updated, subject.domain.folder() / (subject.domain.name() + "-updated.kernel"));
  EXPECT_EQ(base::read_file(of_updated), old_kernel);
  fs::remove(kernel);
  EXPECT_EQ(base::read_file(restored_kernel(subject.domain.name() + "-another")), old_kernel);
}

TEST_F(Firmware, NothingThatIsThereIsWrittenOver) {
  ProtectedDomain subject(with_nvram());
  subject.init();
  subject.domain.start_paused();
  const fs::path nvram = nvram_of(subject.domain.live_xml());
  subject.must({"backup", subject.domain.name()});
  subject.domain.destroy();
  const std::string name = subject.domain.name() + "-copy";
  const fs::path taken = nvram.parent_path() / (name + "_VARS.fd");
  subject.domain.undo().folder(taken);
  base::write_durably(taken, base::as_bytes("somebody's"));
  expect_error(subject.run({"restore", "latest", "--as", name}), 10, taken);
  EXPECT_EQ(base::to_string(base::read_file(taken)), "somebody's");
  EXPECT_FALSE(fs::exists(subject.domain.folder() / (name + ".vda.qcow2")));
}

// Killed with the disk in its place and the rest not: recover goes forwards.
TEST_F(Firmware, AReplaceThatIsKilledInTheMiddleIsFinishedByRecover) {
  ICECORE_NEEDS("program:swtpm", "program:swtpm_setup");
  rig::DomainOptions options = with_nvram();
  options.devices_xml = with_tpm().devices_xml;
  ProtectedDomain subject(options);
  subject.init();
  subject.domain.start_paused();
  const fs::path nvram = nvram_of(subject.domain.live_xml());
  set_variable(nvram, "Boot0001");
  const base::Bytes variables = base::read_file(nvram);
  subject.must({"backup", subject.domain.name()});
  subject.domain.destroy();
  set_variable(nvram, "changed!");
  EXPECT_NE(subject.run({"restore", "latest", "--replace"}, {{"ICECORE_FAILPOINTS", "restore.named=kill"}}).exit_code,
            0);
  EXPECT_NE(base::read_file(nvram), variables);
  subject.must({"recover"});
  EXPECT_EQ(base::read_file(nvram), variables);
  subject.domain.start_paused();
  subject.expect_at_rest();
}

// libvirt makes a TPM's state when its folder is not there, and only then.
TEST_F(Firmware, ARestoreThatFailsLeavesNoFolderForATpm) {
  ICECORE_NEEDS("program:swtpm", "program:swtpm_setup");
  ProtectedDomain subject(with_tpm());
  subject.init();
  subject.domain.start_paused();
  subject.must({"backup", subject.domain.name()});
  subject.domain.destroy();
  fs::remove_all(tpm_folder(subject.domain.uuid()).parent_path());
  rig::IcecoreRun restore(subject.with_options({"restore", "latest", "--replace"}),
                          {{"ICECORE_FAILPOINTS", "restore.acted.written=kill"}});
  EXPECT_NE(restore.wait().exit_code, 0);
  EXPECT_TRUE(fs::exists(tpm_folder(subject.domain.uuid())));
  subject.must({"recover"});
  EXPECT_FALSE(fs::exists(tpm_folder(subject.domain.uuid()).parent_path()));
  subject.domain.start_paused();
  EXPECT_TRUE(fs::exists(tpm_folder(subject.domain.uuid()) / "tpm2-00.permall"));
}

}  // namespace
}  // namespace icecore::system_test
