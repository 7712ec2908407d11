// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/restore_identity.hpp"

#include <fmt/core.h>

#include "base/id.hpp"
#include "hypervisor/xml_document.hpp"

namespace icecore::hypervisor {

namespace {

// In QEMU's own prefix, so that it cannot be a real card's.
std::string random_mac() {
  const std::string digits = base::random_id(3);
  return fmt::format("52:54:00:{}:{}:{}", digits.substr(0, 2), digits.substr(2, 2), digits.substr(4, 2));
}

class Identity {
 public:
  Identity(const XmlNode& domain, std::vector<std::string>& notices)
      : domain_(domain), devices_(domain.child("devices")), name_(domain.child("name").text()), notices_(notices) {}

  void run() {
    set_identifiers();
    for (const XmlNode& card : devices_.children("interface")) set_card(card);
    for (XmlNode vsock : devices_.children("vsock")) set_vsock(vsock);
    for (const char* kind : {"serial", "console", "parallel", "channel"}) {
      for (const XmlNode& port : devices_.children(kind)) set_port(port);
    }
    for (const XmlNode& screen : devices_.children("graphics")) set_screen(screen);
    for (const XmlNode& sound : devices_.children("audio")) rename(sound, "path");
    for (XmlNode memory : devices_.children("memory")) leave_out_persistent(memory);
    for (const XmlNode& tpm : devices_.children("tpm")) tpm.child("backend").child("source").remove();
    warn_about_sharing();
  }

 private:
  void notice(std::string text) { notices_.push_back(std::move(text)); }

  void set_identifiers() {
    const std::string uuid = base::random_uuid();
    domain_.need_child("uuid").set_text(uuid);
    // libvirt refuses an SMBIOS UUID other than the domain's.
    for (XmlNode entry : domain_.path("sysinfo", "system").children("entry")) {
      if (entry.attribute("name") == "uuid") entry.set_text(uuid);
    }
  }

  void set_card(const XmlNode& card) {
    if (XmlNode mac = card.child("mac")) mac.set_attribute("address", random_mac());
    const std::string host_name = card.child("target").attribute("dev");
    if (host_name.empty()) return;
    notice(fmt::format("the network device '{}' is the first domain's: this one's gets a name by libvirt", host_name));
    card.child("target").remove();
  }

  static void set_vsock(XmlNode vsock) {
    XmlNode cid = vsock.child("cid");
    cid.set_attribute("auto", "yes");
    cid.remove_attribute("address");
  }

  void set_port(const XmlNode& port) {
    const std::string type = port.attribute("type");
    XmlNode source = port.child("source");
    const bool is_ours = type == "file" || (type == "unix" && source.attribute("mode") != "connect");
    if (is_ours) rename(source, "path");
    rename(port.child("log"), "file");
  }

  void set_screen(const XmlNode& screen) const {
    rename(screen, "socket");
    for (const XmlNode& listener : screen.children("listen")) rename(listener, "socket");
  }

  void rename(XmlNode node, const char* attribute) const {
    const std::string path = node.attribute(attribute);
    if (!path.empty()) node.set_attribute(attribute, path + "." + name_);
  }

  // Its file is memory that outlives the guest: a disk by another name, which was not restored.
  void leave_out_persistent(XmlNode memory) {
    const std::string path = memory.path("source", "path").text();
    if (path.empty()) return;
    notice(fmt::format("persistent memory in '{}' is the first domain's, and left out of this one", path));
    memory.remove();
  }

  void warn_about_sharing() {
    if (devices_.child("hostdev"))
      notice("the domain has host devices passed through: only one of the two domains can run");
    if (devices_.child("filesystem")) notice("the domain shares host folders: both domains will use the same ones");
    if (devices_.child("shmem")) notice("the domain shares memory with others on this host: both domains will");
    if (domain_.path("os", "loader").attribute("readonly") == "no")
      notice("the domain's firmware is a writable file: both domains will use the same one");
    for (const XmlNode& screen : devices_.children("graphics")) {
      const std::string port = screen.attribute("port");
      if (screen.attribute("autoport") == "yes" || port.empty() || port == "-1") continue;
      notice(fmt::format("{} is at the fixed port {}: only one of the two domains can run", screen.attribute("type"),
                         port));
    }
    for (const char* kind : {"serial", "console", "parallel", "channel"}) {
      for (const XmlNode& port : devices_.children(kind)) warn_about_port(port);
    }
    for (const XmlNode& card : devices_.children("interface")) {
      if (card.attribute("type") == "vhostuser")
        notice(fmt::format("a network card is connected by the socket '{}': both domains will use the same one",
                           card.child("source").attribute("path")));
    }
    for (const XmlNode& child : domain_.children()) {
      if (child.name() == "commandline")
        notice("the domain has QEMU arguments of its own, which were not looked at: both domains will use them");
    }
  }

  // Those of which a host has one.
  void warn_about_port(const XmlNode& port) {
    const bool is_serial = port.name() == "console" && port.child("target").attribute("type") == "serial";
    if (is_serial) return;  // the first serial port by another name
    const std::string type = port.attribute("type");
    if (type == "dev" || type == "pipe" || type == "nmdm") {
      const XmlNode source = port.child("source");
      const std::string path = source.attribute("path");
      notice(fmt::format("the domain's {} port is '{}' of the host: only one of the two domains can use it",
                         port.name(), path.empty() ? source.attribute("master") : path));
    }
    for (const XmlNode& source : port.children("source")) {
      if (source.attribute("mode") != "bind" || source.attribute("service").empty()) continue;
      notice(fmt::format("the domain's {} port listens at the fixed port {}: only one of the two domains can run",
                         port.name(), source.attribute("service")));
    }
  }

  XmlNode domain_;
  XmlNode devices_;
  std::string name_;
  std::vector<std::string>& notices_;
};

}  // namespace

void give_new_identity(const XmlNode& domain, std::vector<std::string>& notices) { Identity(domain, notices).run(); }

}  // namespace icecore::hypervisor
