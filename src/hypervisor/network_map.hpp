// SPDX-License-Identifier: Apache-2.0
// Interfaces of a domain put onto other networks: for a host where they have other names.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace icecore::hypervisor {

class XmlNode;

// `from`: a network, "network/portgroup", a bridge or (macvtap) a device that an interface is on. `to`: what takes its
// place, of the same kind, unless it says "network:" or "bridge:" in front.
struct NetworkMapping {
  std::string from;
  std::string to;
};

// What a mapping of the domain with this XML may name.
std::set<std::string> mappable_networks(std::string_view domain_xml);

// Throws Fault::usage, naming those there are, when the mapping's `from` is none of them.
void require_mappable(const NetworkMapping& mapping, const std::set<std::string>& known);

// Changes the <interface> elements below `devices`. Fault::usage when no interface is on a mapping's `from`.
void map_networks(const XmlNode& devices, const std::vector<NetworkMapping>& mappings);

}  // namespace icecore::hypervisor
