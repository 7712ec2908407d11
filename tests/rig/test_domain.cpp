// SPDX-License-Identifier: Apache-2.0
#include "rig/test_domain.hpp"

#include <fmt/core.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include <signal.h>

#include <algorithm>
#include <iterator>
#include <thread>

#include "base/error.hpp"
#include "base/id.hpp"
#include "base/process.hpp"
#include "rig/loop_device.hpp"
#include "rig/proc_file.hpp"
#include "rig/requirements.hpp"
#include "rig/xml_query.hpp"

namespace icecore::rig {

namespace {

namespace fs = std::filesystem;
using base::Fault;
using base::Milliseconds;

constexpr Milliseconds k_poll{20};
constexpr Milliseconds k_settle_deadline{20'000};

[[noreturn]] void fail_libvirt(std::string_view what) {
  const virError* error = virGetLastError();
  base::fail(Fault::unavailable, "{}: {}", what, error != nullptr ? error->message : "no reason given");
}

void check(int result, std::string_view what) {
  if (result < 0) fail_libvirt(what);
}

struct Allocated {
  char* text = nullptr;
  explicit Allocated(char* from) : text(from) {}
  Allocated(const Allocated&) = delete;
  Allocated& operator=(const Allocated&) = delete;
  ~Allocated() { ::free(text); }
};

std::string take(char* text, std::string_view what) {
  const Allocated owner(text);
  if (text == nullptr) fail_libvirt(what);
  return text;
}

// And a libvirtd that dies is an error, not our SIGPIPE.
void silence_libvirt() {
  ::signal(SIGPIPE, SIG_IGN);
  virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
}

// QEMU carries "-name guest=NAME,..."; looked up in /proc because a private libvirt keeps its pid files to itself.
pid_t find_qemu(const std::string& name) {
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename();
    if (!std::all_of(pid.begin(), pid.end(), [](char c) { return c >= '0' && c <= '9'; })) continue;
    if (proc_file(pid, "cmdline").find(std::string(1, '\0') + "guest=" + name + ",") != std::string::npos)
      return std::stoi(pid);
  }
  return -1;
}

}  // namespace

TestDomain::TestDomain(DomainOptions options)
    : options_(std::move(options)),
      name_(options_.name.empty() ? "icecore-test-" + base::random_id(6) : options_.name),
      uuid_(base::random_uuid()),
      undo_(options_.uri),
      folder_(make_folder(undo_)) {
  silence_libvirt();
  for (const DiskOptions& disk : options_.disks) {
    if (disk.existing.empty()) make_disk(disk);
    if (!disk.image.passphrase.empty()) make_secret(disk);
  }
  make_pool();
  undo_.domain(name_);
  reconnect();
}

void TestDomain::make_disk(const DiskOptions& disk) {
  make_image(image_path(disk), disk.image);
  if (disk.kind != DiskKind::block) return;
  const std::string file = image_path(disk);
  // A raw disk is its device, to the byte; a qcow2 needs room for its metadata.
  const std::uint64_t room = disk.image.format == "raw" ? 0 : disk.image.size / 2;
  fs::resize_file(file, disk.image.size + room);
  devices_[disk.target] = attach_loop(undo_, file);
}

void TestDomain::make_secret(const DiskOptions& disk) {
  using SecretHandle = std::unique_ptr<virSecret, base::FreeWith<&virSecretFree>>;
  const ConnectHandle connection(virConnectOpen(options_.uri.c_str()));
  if (!connection) fail_libvirt("connecting to " + options_.uri);
  const std::string uuid = secrets_[disk.target] = base::random_uuid();
  undo_.secret(uuid);
  const std::string xml =
      fmt::format("<secret private='{}'><uuid>{}</uuid><usage type='volume'><volume>{}</volume></usage></secret>",
                  disk.secret_is_private ? "yes" : "no", uuid, image_path(disk));
  const SecretHandle secret(virSecretDefineXML(connection.get(), xml.c_str(), 0));
  if (!secret) fail_libvirt("defining a secret for " + name_);
  const std::string& value = disk.image.passphrase;
  check(virSecretSetValue(secret.get(), reinterpret_cast<const unsigned char*>(value.data()), value.size(), 0),
        "setting a secret's value");
}

void TestDomain::make_pool() {
  const auto is_volume = [](const DiskOptions& disk) { return disk.kind == DiskKind::volume; };
  if (std::none_of(options_.disks.begin(), options_.disks.end(), is_volume)) return;
  undo_.pool(name_);
  base::run_checked(
      {.arguments = {"virsh", "-q", "-c", options_.uri, "pool-create-as", name_, "dir", "--target", folder_.native()}},
      k_settle_deadline);
}

void TestDomain::reconnect() {
  domain_.reset();
  connection_.reset(virConnectOpen(options_.uri.c_str()));
  if (!connection_) fail_libvirt("connecting to " + options_.uri);
  domain_.reset(virDomainLookupByName(connection_.get(), name_.c_str()));
  if (domain_ || options_.transient) return;
  domain_.reset(virDomainDefineXML(connection_.get(), xml().c_str()));
  if (!domain_) fail_libvirt("defining " + name_);
}

void TestDomain::create(unsigned flags) {
  if (options_.transient) {
    domain_.reset(virDomainCreateXML(connection_.get(), xml().c_str(), flags));
    if (!domain_) fail_libvirt("creating " + name_);
  } else {
    check(virDomainCreateWithFlags(domain_.get(), flags), "starting " + name_);
  }
}

void TestDomain::start() { create(0); }
void TestDomain::start_paused() { create(VIR_DOMAIN_START_PAUSED); }

void TestDomain::destroy() {
  if (is_running()) check(virDomainDestroy(domain_.get()), "destroying " + name_);
}

bool TestDomain::is_running() const { return domain_ && virDomainIsActive(domain_.get()) == 1; }

void TestDomain::wait_off(Milliseconds deadline) {
  const base::Stopwatch watch;
  while (is_running()) {
    if (watch.elapsed() > deadline) base::fail(Fault::unavailable, "{} is still running", name_);
    std::this_thread::sleep_for(k_poll);
  }
}

pid_t TestDomain::qemu_pid() const { return find_qemu(name_); }

void TestDomain::kill_qemu() {
  const pid_t pid = qemu_pid();
  if (pid <= 0) base::fail(Fault::not_found, "{} has no QEMU", name_);
  ::kill(pid, SIGKILL);
  wait_off(k_settle_deadline);
}

std::string TestDomain::live_xml() const { return take(virDomainGetXMLDesc(domain_.get(), 0), "XML of " + name_); }
std::string TestDomain::inactive_xml() const {
  return take(virDomainGetXMLDesc(domain_.get(), VIR_DOMAIN_XML_INACTIVE), "inactive XML of " + name_);
}

std::string TestDomain::source_in(const std::string& xml, const std::string& target) const {
  const std::string source = fmt::format("/domain/devices/disk[target/@dev='{}']/source", target);
  const std::string volume = xml_value(xml, source + "/@volume");
  if (!volume.empty()) return folder_ / volume;
  const std::string file = xml_value(xml, source + "/@file");
  return file.empty() ? xml_value(xml, source + "/@dev") : file;
}

std::string TestDomain::live_source(const std::string& target) const { return source_in(live_xml(), target); }
std::string TestDomain::inactive_source(const std::string& target) const { return source_in(inactive_xml(), target); }

std::vector<std::string> TestDomain::block_jobs() const {
  std::vector<std::string> ids;
  for (const base::Json& job : monitor({{"execute", "query-block-jobs"}})) ids.push_back(job.at("device"));
  return ids;
}

base::Json TestDomain::monitor(const base::Json& command) const {
  char* answer = nullptr;
  check(virDomainQemuMonitorCommand(domain_.get(), command.dump().c_str(), &answer, 0), "monitor of " + name_);
  const base::Json reply = base::parse_json(take(answer, "monitor of " + name_), "monitor of " + name_);
  if (reply.contains("error")) base::fail(Fault::internal, "monitor of {}: {}", name_, reply.at("error").dump());
  return reply.at("return");
}

std::string TestDomain::block_device(const std::string& target) const {
  const std::string alias =
      xml_value(live_xml(), fmt::format("/domain/devices/disk[target/@dev='{}']/alias/@name", target));
  for (const base::Json& block : monitor({{"execute", "query-block"}})) {
    const std::string device = block.value("qdev", "");
    if ((device + "/").find("/" + alias + "/") != std::string::npos || device == alias) return device;
  }
  base::fail(Fault::not_found, "{} has no disk {} in QEMU", name_, target);
}

void TestDomain::qemu_io(const std::string& device, const std::string& command) const {
  const std::string line = fmt::format("qemu-io -d {} \"{}\"", device, command);
  const std::string said = monitor({{"execute", "human-monitor-command"}, {"arguments", {{"command-line", line}}}});
  // What qemu-io says goes to QEMU's own log; only a command that did not reach the disk answers here.
  if (!said.empty()) base::fail(Fault::internal, "'{}' on {}: {}", command, name_, said);
}

void TestDomain::monitor_write(const std::string& target, std::uint64_t offset, std::uint64_t length,
                               unsigned char pattern) {
  const std::string device = block_device(target);
  qemu_io(device, fmt::format("write -P {} {} {}", pattern, offset, length));
  qemu_io(device, "flush");
}

void TestDomain::monitor_discard(const std::string& target, std::uint64_t offset, std::uint64_t length) {
  const std::string device = block_device(target);
  qemu_io(device, fmt::format("discard {} {}", offset, length));
  qemu_io(device, "flush");
}

std::string TestDomain::hash_disk(const std::string& target) const {
  const std::string xml = is_running() ? live_xml() : inactive_xml();
  const std::string at = fmt::format("/domain/devices/disk[target/@dev='{}']", target);
  return content_hash(source_in(xml, target), xml_value(xml, at + "/driver/@type"), passphrase(target));
}

const DiskOptions& TestDomain::disk(const std::string& target) const {
  const auto found = std::find_if(options_.disks.begin(), options_.disks.end(),
                                  [&](const DiskOptions& disk) { return disk.target == target; });
  if (found == options_.disks.end()) base::fail(Fault::not_found, "{} has no disk {}", name_, target);
  return *found;
}

fs::path TestDomain::disk_path(const std::string& target) const { return image_path(disk(target)); }
const std::string& TestDomain::passphrase(const std::string& target) const { return disk(target).image.passphrase; }
const std::string& TestDomain::disk_format(const std::string& target) const { return disk(target).image.format; }

std::string TestDomain::image_path(const DiskOptions& disk) const {
  if (const auto device = devices_.find(disk.target); device != devices_.end()) return device->second;
  return disk.existing.empty() ? folder_ / (disk.target + "." + disk.image.format) : disk.existing;
}

std::string TestDomain::encryption_xml(const DiskOptions& disk) const {
  if (disk.image.passphrase.empty()) return {};
  const std::string name = disk.secret_by_usage ? fmt::format("usage='{}'", image_path(disk))
                                                : fmt::format("uuid='{}'", secrets_.at(disk.target));
  return fmt::format("<encryption format='luks'><secret type='passphrase' {}/></encryption>", name);
}

std::string TestDomain::disk_xml(const DiskOptions& disk) const {
  const std::string path = image_path(disk);
  const std::string source = disk.kind == DiskKind::volume ? fmt::format("type='volume'><source pool='{}' volume='{}'>",
                                                                         name_, fs::path(path).filename().native())
                             : disk.kind == DiskKind::block ? fmt::format("type='block'><source dev='{}'>", path)
                                                            : fmt::format("type='file'><source file='{}'>", path);
  return fmt::format(
      "<disk device='disk' {}{}</source><driver name='qemu' type='{}' {}/><target dev='{}' bus='{}'/>{}</disk>", source,
      encryption_xml(disk), disk.image.format, disk.driver_attributes, disk.target, disk.bus, disk.extra_xml);
}

std::string TestDomain::xml() const {
  const std::string image = guest_image();
  std::string devices;
  for (const DiskOptions& disk : options_.disks) devices += disk_xml(disk);
  if (std::any_of(options_.disks.begin(), options_.disks.end(), [](const auto& disk) { return disk.bus == "scsi"; })) {
    devices += "<controller type='scsi' model='virtio-scsi'/>";
  }
  if (options_.agent_channel) {
    devices += "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>";
  }
  const std::string kernel = fmt::format(
      "<kernel>{}/vmlinuz</kernel><initrd>{}/initrd</initrd><cmdline>console=ttyS0 quiet rdinit=/init {}</cmdline>",
      image, image, options_.kernel_words);
  return fmt::format(
      "<domain type='qemu'><name>{}</name><uuid>{}</uuid><memory unit='MiB'>{}</memory><vcpu>1</vcpu>"
      "<os {}><type arch='x86_64' machine='q35'>hvm</type>{}{}</os>"
      "<features><acpi/></features><cpu mode='custom'><model>qemu64</model></cpu>{}"
      "<devices>{}{}<serial type='file'><source path='{}'/><target port='0'/></serial>"
      "<memballoon model='none'/></devices></domain>",
      name_, uuid_, options_.memory_mib, options_.os_attributes, options_.os_xml, options_.kernel ? kernel : "",
      options_.domain_xml, devices, options_.devices_xml, (folder_ / "console.log").native());
}

}  // namespace icecore::rig
