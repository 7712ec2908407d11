// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/host_security.hpp"

#include <libvirt/libvirt.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "hypervisor/libvirt_error.hpp"
#include "hypervisor/xml_document.hpp"

namespace icecore::hypervisor {

namespace {

struct FreeText {
  void operator()(char* text) const noexcept { std::free(text); }
};

// "+64055:+109": numbers of user and group.
std::optional<FileOwner> parse_owner(const std::string& label) {
  unsigned user = 0;
  unsigned group = 0;
  if (std::sscanf(label.c_str(), "+%u:+%u", &user, &group) != 2) return std::nullopt;
  return FileOwner{user, group};
}

}  // namespace

HostSecurity parse_host_security(std::string_view capabilities_xml) {
  const XmlDocument document = XmlDocument::parse(capabilities_xml, "libvirt's capabilities");
  HostSecurity security;
  for (const XmlNode& model : document.root().child("host").children("secmodel")) {
    const std::string name = model.child("model").text();
    security.apparmor = security.apparmor || name == "apparmor";
    security.selinux = security.selinux || name == "selinux";
    if (name == "dac") security.qemu = parse_owner(model.child("baselabel").text());
  }
  return security;
}

HostSecurity host_security(Connection& connection) {
  const std::unique_ptr<char, FreeText> text(virConnectGetCapabilities(connection.raw()));
  return parse_host_security(check(text.get(), "asking libvirt for its capabilities"));
}

}  // namespace icecore::hypervisor
