// SPDX-License-Identifier: Apache-2.0
// make_restore_xml(): from a saved domain XML to one that can be defined beside or instead of the original.
#include <algorithm>
#include <filesystem>
#include <optional>

#include "base/error.hpp"
#include "base/id.hpp"
#include "hypervisor/domain_edit.hpp"
#include "hypervisor/restore_identity.hpp"
#include "hypervisor/xml_document.hpp"

namespace icecore::hypervisor {

namespace {

using base::Fault;

// Aliases, dynamic labels, host-side device names and the rest that libvirt fills in when a domain starts.
void strip_runtime(XmlNode node) {
  for (XmlNode child : node.children()) {
    const bool user_alias = child.attribute("name").starts_with("ua-");
    if (child.name() == "alias" && !user_alias) {
      child.remove();
      continue;
    }
    strip_runtime(child);
  }
}

void strip_security_labels(XmlNode domain) {
  for (XmlNode label : domain.children("seclabel")) {
    if (label.attribute("type") != "dynamic") continue;
    for (const char* gone : {"label", "imagelabel"}) label.child(gone).remove();
    if (!label.child("baselabel")) label.remove();
  }
}

void strip_devices(XmlNode devices) {
  for (XmlNode card : devices.children("interface")) {
    XmlNode target = card.child("target");
    const std::string name = target.attribute("dev");
    if (name.starts_with("vnet") || name.starts_with("macvtap") || name.starts_with("macvlan")) target.remove();
    card.child("source").remove_attribute("portid");
  }
  for (const char* kind : {"serial", "console", "channel", "parallel"}) {
    for (XmlNode port : devices.children(kind)) {
      port.remove_attribute("tty");
      port.child("target").remove_attribute("state");
      const std::string type = port.attribute("type");
      // Paths libvirt made up from the old name and number of the domain.
      const bool made_up = port.child("source").attribute("path").find("/libvirt/qemu/channel/") != std::string::npos;
      if (type == "pty" || (type == "unix" && made_up)) port.child("source").remove();
    }
  }
  for (XmlNode screen : devices.children("graphics")) {
    if (screen.attribute("autoport") != "yes") continue;
    screen.set_attribute("port", "-1");
    screen.remove_attribute("tlsPort");
  }
  for (XmlNode vsock : devices.children("vsock")) {
    if (vsock.child("cid").attribute("auto") == "yes") vsock.child("cid").remove_attribute("address");
  }
}

class Restorer {
 public:
  Restorer(XmlNode domain, const RestoreXmlOptions& options, RestoreXml& result)
      : domain_(domain), options_(options), result_(result) {
    if (!options.present_xml.empty())
      present_.emplace(XmlDocument::parse(options.present_xml, "the XML of the domain that is replaced"));
  }

  void run() {
    domain_.remove_attribute("id");
    strip_runtime(domain_.child("devices"));
    strip_security_labels(domain_);
    strip_devices(domain_.child("devices"));
    set_identity();
    set_emulator();
    set_firmware();
    set_boot_files();
    check_placements();
    for (const XmlNode& disk : domain_.child("devices").children("disk")) set_disk(disk);
    for (const XmlNode& disk : present_disks()) set_new_disk(disk);
    map_networks(domain_.child("devices"), options_.networks);
    if (options_.new_identity) warn_about_tpms();
    result_.name = domain_.child("name").text();
    result_.uuid = domain_.child("uuid").text();
  }

 private:
  void notice(std::string text) { result_.notices.push_back(std::move(text)); }

  void set_identity() {
    if (!options_.name.empty()) domain_.need_child("name").set_text(options_.name);
    // Tells the guest that it is a copy or went back in time, which is what the device is for.
    if (XmlNode generation = domain_.child("genid")) generation.set_text(base::random_uuid());
    if (options_.new_identity) give_new_identity(domain_, result_.notices);
  }

  // Distributions keep QEMU in different places; libvirt knows the one of this host.
  void set_emulator() {
    XmlNode emulator = domain_.path("devices", "emulator");
    std::error_code ignored;
    if (!emulator || std::filesystem::exists(emulator.text(), ignored)) return;
    notice(fmt::format("the emulator '{}' is not on this host: libvirt chooses its own", emulator.text()));
    emulator.remove();
  }

  void set_firmware() {
    XmlNode nvram = domain_.path("os", "nvram");
    if (!options_.nvram_path.empty()) {
      nvram = domain_.need_child("os").need_child("nvram");
      nvram.child("source").remove();
      nvram.remove_attribute("type");
      nvram.set_text(options_.nvram_path);
      return;
    }
    if (!nvram) return;
    const XmlNode present = present_ ? present_->root().path("os", "nvram") : XmlNode();
    if (present) nvram.set_text(present.text());
    notice(present ? "the firmware's variables (NVRAM) stay as they are on this host"
                   : "the firmware's variables (NVRAM) were not restored: libvirt makes new ones, boot entries may be "
                     "missing");
    // Left with the old path, two domains would write one file.
    if (options_.new_identity) nvram.remove();
  }

  void set_boot_files() {
    for (const char* kind : {"kernel", "initrd", "dtb"}) {
      XmlNode file = domain_.path("os", kind);
      const auto moved = file ? options_.boot_files.find(file.text()) : options_.boot_files.end();
      if (moved != options_.boot_files.end()) file.set_text(moved->second);
    }
  }

  void check_placements() const {
    for (const DiskPlacement& placement : options_.disks) {
      if (find_disk(domain_.child("devices").children("disk"), placement.target)) continue;
      base::fail(Fault::not_found, "domain '{}' has no disk '{}'", domain_.child("name").text(), placement.target);
    }
  }

  void set_disk(XmlNode disk) {
    const std::string target = disk.child("target").attribute("dev");
    const auto placement = std::find_if(options_.disks.begin(), options_.disks.end(),
                                        [&](const DiskPlacement& candidate) { return candidate.target == target; });
    if (placement != options_.disks.end()) return place_disk(disk, *placement);
    const std::string device = disk.attribute("device");
    if (device == "cdrom" || device == "floppy") return set_medium(disk, target, device);
    strip_chain(disk);
    if (options_.keep_other_disks) return keep_disk(disk, target);
    notice(fmt::format("disk {} was not restored and is left out of the domain", target));
    disk.remove();
  }

  // Where it lies now, which need not be where it lay then: an old file there would be taken for the disk.
  void keep_disk(XmlNode disk, const std::string& target) {
    if (const XmlNode now = find_disk(present_disks(), target)) return copy_image(disk, now);
    if (!present_) return;
    notice(fmt::format("disk {} was not restored and is left out of the domain, which has none now", target));
    disk.remove();
  }

  // One that the domain has got since.
  void set_new_disk(const XmlNode& disk) {
    const std::string target = disk.child("target").attribute("dev");
    XmlNode devices = domain_.child("devices");
    if (find_disk(devices.children("disk"), target)) return;
    const std::string device = disk.attribute("device");
    if (device == "cdrom" || device == "floppy") return;
    if (!options_.single_disks)
      return notice(
          fmt::format("disk {} is not in the restore point and is left out of the domain; its image stays", target));
    XmlNode kept = devices.add_copy(disk);
    // Another device of the point may be there, or boot by such numbers; libvirt refuses two of one.
    for (const char* gone : {"address", "alias", "boot"}) kept.child(gone).remove();
    const bool same_threads = domain_.child("iothreads").text() == present_->root().child("iothreads").text();
    if (!same_threads) kept.child("driver").remove_attribute("iothread");
  }

  std::vector<XmlNode> present_disks() const {
    return present_ ? present_->root().child("devices").children("disk") : std::vector<XmlNode>();
  }

  static XmlNode find_disk(const std::vector<XmlNode>& disks, const std::string& target) {
    const auto found = std::find_if(disks.begin(), disks.end(), [&](const XmlNode& disk) {
      return disk.child("target").attribute("dev") == target;
    });
    return found == disks.end() ? XmlNode() : *found;
  }

  static void place_disk(XmlNode disk, const DiskPlacement& placement) {
    if (!placement.as_named) return point_disk_at(disk, placement.path, placement.format);
    strip_chain(disk);
    disk.need_child("driver").set_attribute("type", placement.format);
  }

  static void strip_chain(XmlNode disk) {
    disk.child("source").remove_attribute("index");
    for (const char* gone : {"mirror", "backingStore"}) disk.child(gone).remove();
  }

  void set_medium(XmlNode disk, const std::string& target, const std::string& device) {
    disk.child("backingStore").remove();
    XmlNode source = disk.child("source");
    if (!source) return;
    source.remove_attribute("index");
    const std::string file = source.attribute("file");
    if (device == "floppy" && options_.new_identity && !disk.child("readonly")) {
      notice(fmt::format("floppy {}: the first domain writes to its medium, the drive is left empty", target));
      return source.remove();
    }
    std::error_code ignored;
    if (file.empty() || std::filesystem::exists(file, ignored)) return;
    notice(fmt::format("{} {}: its medium '{}' is not on this host, the drive is left empty", device, target, file));
    source.remove();
  }

  void warn_about_tpms() {
    for (const XmlNode& tpm : domain_.child("devices").children("tpm")) {
      if (tpm.child("backend").attribute("type") == "emulator") warn_about_tpm();
    }
  }

  void warn_about_tpm() {
    notice(options_.tpm_restored
               ? "the domain's emulated TPM has the keys of the original's: what trusts one trusts both"
               : "the domain has an emulated TPM, whose state was not restored: it starts with an empty one");
  }

  XmlNode domain_;
  const RestoreXmlOptions& options_;
  std::optional<XmlDocument> present_;
  RestoreXml& result_;
};

}  // namespace

RestoreXml make_restore_xml(std::string_view saved_xml, const RestoreXmlOptions& options) {
  const XmlDocument document = XmlDocument::parse(saved_xml, "the saved XML of the domain");
  if (document.root().name() != "domain") base::fail(Fault::corrupt, "the saved XML is no domain's");
  RestoreXml result;
  Restorer(document.root(), options, result).run();
  result.xml = document.text();
  return result;
}

}  // namespace icecore::hypervisor
