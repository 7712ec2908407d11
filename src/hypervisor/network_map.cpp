// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/network_map.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "hypervisor/xml_document.hpp"

namespace icecore::hypervisor {

namespace {

using base::Fault;

// The attribute of <source> that names what an interface is on, by the interface's type.
constexpr std::array<std::pair<std::string_view, const char*>, 3> k_source_names = {
    {{"network", "network"}, {"bridge", "bridge"}, {"direct", "dev"}}};

const char* source_name_of(std::string_view type) {
  for (const auto& [known, name] : k_source_names) {
    if (known == type) return name;
  }
  return nullptr;
}

// The names a mapping may know the interface's place by.
std::vector<std::string> names_of(const XmlNode& card) {
  const char* const attribute = source_name_of(card.attribute("type"));
  if (attribute == nullptr) return {};
  const XmlNode source = card.child("source");
  std::vector<std::string> names = {source.attribute(attribute)};
  if (source.has_attribute("portgroup")) names.push_back(names[0] + "/" + source.attribute("portgroup"));
  return names;
}

bool names(const XmlNode& card, const std::string& place) {
  const std::vector<std::string> known = names_of(card);
  return std::find(known.begin(), known.end(), place) != known.end();
}

struct Place {
  std::string type;
  std::string name;
};

Place parse_place(const std::string& text, const std::string& type) {
  for (const std::string_view kind : {"network", "bridge"}) {
    const std::string prefix = std::string(kind) + ":";
    if (text.starts_with(prefix)) return {std::string(kind), text.substr(prefix.size())};
  }
  return {type, text};
}

void put_onto(XmlNode card, const Place& place, bool names_port_group) {
  XmlNode source = card.need_child("source");
  const bool same_type = card.attribute("type") == place.type;
  for (const char* gone : {"network", "bridge", "dev", "portid"}) source.remove_attribute(gone);
  if (!same_type) {
    source.remove_attribute("mode");
    card.child("virtualport").remove();
  }
  if (!same_type || names_port_group) source.remove_attribute("portgroup");
  card.set_attribute("type", place.type);
  const std::size_t slash = place.type == "network" ? place.name.find('/') : std::string::npos;
  source.set_attribute(source_name_of(place.type), place.name.substr(0, slash));
  if (slash != std::string::npos) source.set_attribute("portgroup", place.name.substr(slash + 1));
}

std::set<std::string> names_of_all(const std::vector<XmlNode>& cards) {
  std::set<std::string> all;
  for (const XmlNode& card : cards) {
    for (std::string& name : names_of(card)) all.insert(std::move(name));
  }
  return all;
}

}  // namespace

std::set<std::string> mappable_networks(std::string_view domain_xml) {
  const XmlDocument document = XmlDocument::parse(domain_xml, "the domain's XML");
  return names_of_all(document.root().child("devices").children("interface"));
}

void require_mappable(const NetworkMapping& mapping, const std::set<std::string>& known) {
  if (known.contains(mapping.from)) return;
  base::Error error(Fault::usage, fmt::format("no interface is on '{}'", mapping.from));
  throw error.add_hint(known.empty() ? "there is none on a network or bridge"
                                     : fmt::format("they are on: {}", fmt::join(known, ", ")));
}

void map_networks(const XmlNode& devices, const std::vector<NetworkMapping>& mappings) {
  const std::vector<XmlNode> cards = devices.children("interface");
  const std::set<std::string> known = names_of_all(cards);
  // All are matched before any is changed: a=b together with b=a exchanges the two.
  std::vector<std::pair<XmlNode, const NetworkMapping*>> changes;
  for (const NetworkMapping& mapping : mappings) {
    require_mappable(mapping, known);
    for (const XmlNode& card : cards) {
      if (names(card, mapping.from)) changes.emplace_back(card, &mapping);
    }
  }
  for (const auto& [card, mapping] : changes) {
    const bool names_port_group =
        card.child("source").has_attribute("portgroup") && mapping->from == names_of(card).back();
    put_onto(card, parse_place(mapping->to, card.attribute("type")), names_port_group);
  }
}

}  // namespace icecore::hypervisor
