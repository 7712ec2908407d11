// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/compatibility.hpp"

#include <fmt/core.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/handle.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/disk_encryption.hpp"
#include "hypervisor/libvirt_error.hpp"
#include "hypervisor/xml_document.hpp"

namespace icecore::hypervisor {

namespace {

namespace fs = std::filesystem;

using NetworkHandle = std::unique_ptr<virNetwork, base::FreeWith<&virNetworkFree>>;
using PoolHandle = std::unique_ptr<virStoragePool, base::FreeWith<&virStoragePoolFree>>;
using TextHandle = std::unique_ptr<char, base::FreeWith<&std::free>>;

const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

class Check {
 public:
  Check(Connection& connection, const XmlNode& domain, const XmlNode& emulated_by)
      : connection_(connection),
        domain_(domain),
        devices_(domain.child("devices")),
        emulator_(emulated_by.path("devices", "emulator").text()) {}

  std::vector<Finding> run() {
    if (const auto capabilities = ask_capabilities()) check_capabilities(capabilities->root());
    check_firmware();
    for (const XmlNode& card : devices_.children("interface")) check_card(card);
    for (const XmlNode& device : devices_.children("hostdev")) check_host_device(device);
    for (const XmlNode& folder : devices_.children("filesystem")) check_folder(folder);
    for (const XmlNode& disk : devices_.children("disk")) check_disk(disk);
    return std::move(findings_);
  }

  std::vector<Finding> run_resume(bool other_host) {
    const XmlNode cpu = domain_.child("cpu");
    const std::string mode = cpu.attribute("mode");
    if (const auto capabilities = ask_capabilities()) {
      resumes_ = true;
      check_cpu(capabilities->root());
    }
    if (other_host && (mode == "host-passthrough" || mode == "maximum"))
      warning(fmt::format("the guest's memory was saved on another host, whose CPU it had as it was ({})", mode),
              std::string(k_without_memory));
    return std::move(findings_);
  }

 private:
  static constexpr std::string_view k_without_memory = "boot from the disks, without the memory: --discard-memory";

  void problem(std::string what, std::string cure) { findings_.push_back({true, std::move(what), std::move(cure)}); }
  void warning(std::string what, std::string cure) { findings_.push_back({false, std::move(what), std::move(cure)}); }

  // libvirt's error of the last call, unless that was lost with the connection.
  static LibvirtError answer(std::string_view what) {
    LibvirtError error = last_libvirt_error();
    if (is_connection_loss(error)) throw_libvirt_error(error, std::string(what));
    return error;
  }

  // What the emulator can do with the domain's machine; nothing when it has no such machine, which is a finding.
  std::optional<XmlDocument> ask_capabilities() {
    const TextHandle text(virConnectGetDomainCapabilities(connection_.raw(), or_null(emulator_), or_null(arch_),
                                                          or_null(machine_), or_null(type_), 0));
    if (text) return XmlDocument::parse(text.get(), "the capabilities of this host");
    const LibvirtError error = answer("asking what this host can run");
    if (error.code == VIR_ERR_NO_SUPPORT) return std::nullopt;
    problem(fmt::format("a domain of type '{}' and machine type '{}' does not run here: {}", type_, machine_,
                        error.message),
            "see `virsh capabilities`; the disks alone: --disks-only --to DIR");
    return std::nullopt;
  }

  static bool offers(const XmlNode& device, std::string_view choice, const std::string& wanted) {
    for (const XmlNode& list : device.children("enum")) {
      if (list.attribute("name") != choice) continue;
      const auto values = list.children("value");
      return std::any_of(values.begin(), values.end(), [&](const XmlNode& value) { return value.text() == wanted; });
    }
    return true;  // not a question this libvirt answers
  }

  void check_capabilities(const XmlNode& host) {
    check_cpu(host);
    const std::string vcpus = domain_.child("vcpu").text();
    const std::string most = host.child("vcpu").attribute("max");
    if (!vcpus.empty() && !most.empty() &&
        std::strtoul(vcpus.c_str(), nullptr, 10) > std::strtoul(most.c_str(), nullptr, 10))
      problem(fmt::format("the domain has {} vCPUs, and {} is the most here", vcpus, most),
              "virsh edit, after --allow-incompatible");
    for (const XmlNode& tpm : devices_.children("tpm")) {
      const std::string backend = tpm.child("backend").attribute("type");
      if (!offers(host.path("devices", "tpm"), "backendModel", backend))
        problem(fmt::format("this host has no TPM of type '{}'", backend), "apt install swtpm swtpm-tools");
    }
    for (const XmlNode& screen : devices_.children("graphics")) {
      const std::string kind = screen.attribute("type");
      if (!offers(host.path("devices", "graphics"), "type", kind))
        problem(fmt::format("this host's QEMU has no {} graphics", kind), "install QEMU's modules for it");
    }
  }

  // Only a CPU model that is named can be compared; host-model and host-passthrough take what there is.
  void check_cpu(const XmlNode& host) {
    const XmlNode cpu = domain_.child("cpu");
    const std::string mode = cpu.attribute("mode");
    if (!cpu.child("model") || (!mode.empty() && mode != "custom")) return;
    const std::string model = cpu.child("model").text();
    if (!knows_model(host, model)) {
      // Without a check libvirt leaves it to QEMU, which has names of its own.
      return cpu_finding(cpu.attribute("check") != "none", fmt::format("CPU model '{}' is not known here", model));
    }
    const int result =
        virConnectCompareHypervisorCPU(connection_.raw(), or_null(emulator_), or_null(arch_), or_null(machine_),
                                       or_null(type_), cpu.xml().c_str(), VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE);
    if (result > VIR_CPU_COMPARE_INCOMPATIBLE) return;
    const LibvirtError error = answer("comparing CPUs");
    if (result < 0 && error.code != VIR_ERR_CPU_INCOMPATIBLE) return;  // not known for this kind of domain
    // An inexact match only asks for what can be had.
    const bool inexact = cpu.attribute("check") == "none" || type_ == "qemu";
    cpu_finding(resumes_ || !inexact, fmt::format("CPU model '{}': {}", model, error.message));
  }

  void cpu_finding(bool blocks, const std::string& what) {
    const std::string edit = "virsh edit, after --allow-incompatible: a model of `virsh domcapabilities`";
    findings_.push_back({blocks, resumes_ ? "the guest's memory does not go on here: " + what : what,
                         resumes_ ? std::string(k_without_memory) : edit});
  }

  static bool knows_model(const XmlNode& host, const std::string& wanted) {
    for (const XmlNode& mode : host.child("cpu").children("mode")) {
      const auto models = mode.children("model");
      if (mode.attribute("name") != "custom" || models.empty()) continue;
      return std::any_of(models.begin(), models.end(), [&](const XmlNode& model) { return model.text() == wanted; });
    }
    return true;  // not a question this libvirt answers
  }

  void check_firmware() {
    const XmlNode system = domain_.child("os");
    const std::string loader = system.child("loader").text();
    if (!loader.empty() && !is_there(loader))
      problem(fmt::format("the firmware '{}' is not on this host", loader),
              "install it (ovmf), or virsh edit after --allow-incompatible");
    const std::string store = system.child("nvram").attribute("template");
    if (!store.empty() && !is_there(store) && !is_there(system.child("nvram").text()))
      warning(fmt::format("the template '{}' for the firmware's variables is not on this host", store),
              "install it (ovmf)");
  }

  void check_card(const XmlNode& card) {
    const std::string type = card.attribute("type");
    const XmlNode source = card.child("source");
    if (type == "network") return check_network(source.attribute("network"));
    // Open vSwitch need not show its bridges to the kernel.
    if (type == "bridge" && !card.child("virtualport")) check_kernel_device("bridge", source.attribute("bridge"));
    if (type == "direct") check_kernel_device("network device", source.attribute("dev"));
  }

  void check_network(const std::string& name) {
    const NetworkHandle network(virNetworkLookupByName(connection_.raw(), name.c_str()));
    if (!network) {
      answer("looking for network '" + name + "'");
      return problem(fmt::format("there is no network '{}' here", name),
                     fmt::format("--map-network {}=ANOTHER (virsh net-list --all)", base::shell_word(name)));
    }
    if (virNetworkIsActive(network.get()) != 1)
      warning(fmt::format("network '{}' is not started", name), "virsh net-start " + base::shell_operand(name));
  }

  void check_kernel_device(std::string_view kind, const std::string& name) {
    if (name.empty() || is_there("/sys/class/net/" + name)) return;
    problem(fmt::format("there is no {} '{}' here", kind, name),
            fmt::format("--map-network {}=ANOTHER (ip link)", base::shell_word(name)));
  }

  void check_host_device(const XmlNode& device) {
    const XmlNode source = device.child("source");
    const XmlNode address = source.child("address");
    const auto number = [&](const char* name) { return std::strtoul(address.attribute(name).c_str(), nullptr, 0); };
    const std::string type = device.attribute("type");
    if (type == "pci") {
      const std::string name =
          fmt::format("{:04x}:{:02x}:{:02x}.{:x}", number("domain"), number("bus"), number("slot"), number("function"));
      if (!is_there("/sys/bus/pci/devices/" + name)) missing_device("PCI device " + name);
    } else if (type == "mdev") {
      if (!is_there("/sys/bus/mdev/devices/" + address.attribute("uuid")))
        missing_device("mediated device " + address.attribute("uuid"));
    } else if (type == "usb" && source.child("vendor")) {
      const std::string vendor = source.child("vendor").attribute("id");
      const std::string product = source.child("product").attribute("id");
      if (!has_usb(vendor, product)) missing_device(fmt::format("USB device {}:{}", vendor, product));
    }
  }

  void missing_device(const std::string& what) {
    problem(fmt::format("the domain is given {}, which is not in this host", what),
            "virsh edit, after --allow-incompatible");
  }

  static bool has_usb(const std::string& vendor, const std::string& product) {
    const auto is = [](const fs::path& file, const std::string& id) {
      std::string text;
      return std::getline(std::ifstream(file), text) &&
             std::strtoul(text.c_str(), nullptr, 16) == std::strtoul(id.c_str(), nullptr, 16);
    };
    std::error_code ignored;
    for (const fs::directory_entry& device : fs::directory_iterator("/sys/bus/usb/devices", ignored)) {
      if (is(device.path() / "idVendor", vendor) && is(device.path() / "idProduct", product)) return true;
    }
    return false;
  }

  void check_folder(const XmlNode& folder) {
    const std::string path = folder.child("source").attribute("dir");
    if (!path.empty() && !is_there(path))
      problem(fmt::format("the shared folder '{}' is not on this host", path), "mkdir " + base::shell_operand(path));
  }

  void check_disk(const XmlNode& disk) {
    const XmlNode source = disk.child("source");
    const std::string pool = source.attribute("pool");
    if (!pool.empty() && !PoolHandle(virStoragePoolLookupByName(connection_.raw(), pool.c_str()))) {
      answer("looking for storage pool '" + pool + "'");
      problem(fmt::format("disk '{}' is in storage pool '{}', which is not here", disk.child("target").attribute("dev"),
                          pool),
              "virsh pool-define, or restore that disk too");
    }
    for (const XmlNode& encryption : {source.child("encryption"), disk.child("encryption")}) {
      if (encryption) check_secret(disk, encryption.xml());
    }
  }

  void check_secret(const XmlNode& disk, const std::string& encryption) {
    SecretProblem found = find_secret_problem(connection_, encryption);
    if (found.what.empty()) return;
    problem(fmt::format("disk '{}' is encrypted, and {}", disk.child("target").attribute("dev"), found.what),
            std::move(found.cure));
  }

  Connection& connection_;
  XmlNode domain_;
  XmlNode devices_;
  std::string type_ = domain_.attribute("type");
  std::string emulator_;
  std::string arch_ = domain_.path("os", "type").attribute("arch");
  std::string machine_ = domain_.path("os", "type").attribute("machine");
  bool resumes_ = false;  // asked for a guest that goes on
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> check_compatibility(Connection& connection, const std::string& domain_xml) {
  const XmlDocument document = XmlDocument::parse(domain_xml, "the domain's XML");
  return Check(connection, document.root(), document.root()).run();
}

std::vector<Finding> check_resume(Connection& connection, const std::string& live_xml, const std::string& domain_xml,
                                  bool other_host) {
  const XmlDocument live = XmlDocument::parse(live_xml, "the XML of the saved guest");
  const XmlDocument defined = XmlDocument::parse(domain_xml, "the domain's XML");
  return Check(connection, live.root(), defined.root()).run_resume(other_host);
}

}  // namespace icecore::hypervisor
