// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/xml_document.hpp"

#include <libxml/parser.h>
#include <libxml/tree.h>

#include <climits>

#include "base/error.hpp"
#include "base/handle.hpp"

namespace icecore::hypervisor {

namespace {

const xmlChar* to_xml(const char* text) { return reinterpret_cast<const xmlChar*>(text); }

struct FreeXmlChar {
  void operator()(xmlChar* text) const noexcept { xmlFree(text); }
};
using XmlString = std::unique_ptr<xmlChar, FreeXmlChar>;

std::string take(XmlString text) { return text ? reinterpret_cast<const char*>(text.get()) : std::string(); }

std::string_view name_of(const xmlNode* node) { return reinterpret_cast<const char*>(node->name); }

// libvirt's own elements have no namespace; <qemu:commandline> and what tools keep in <metadata> do.
bool is_called(const xmlNode* node, std::string_view name) {
  return node->type == XML_ELEMENT_NODE && (name.empty() || (node->ns == nullptr && name_of(node) == name));
}

std::string first_line(const char* text) {
  const std::string whole = text == nullptr ? "not well-formed" : text;
  return whole.substr(0, whole.find('\n'));
}

}  // namespace

std::string XmlNode::name() const { return node_ == nullptr ? std::string() : std::string(name_of(node_)); }

std::string XmlNode::attribute(const char* name) const {
  return node_ == nullptr ? std::string() : take(XmlString(xmlGetNoNsProp(node_, to_xml(name))));
}

bool XmlNode::has_attribute(const char* name) const {
  return node_ != nullptr && xmlHasProp(node_, to_xml(name)) != nullptr;
}

std::string XmlNode::text() const {
  return node_ == nullptr ? std::string() : take(XmlString(xmlNodeGetContent(node_)));
}

XmlNode XmlNode::child(std::string_view name) const {
  for (xmlNode* at = node_ == nullptr ? nullptr : node_->children; at != nullptr; at = at->next) {
    if (is_called(at, name)) return XmlNode(at);
  }
  return {};
}

std::vector<XmlNode> XmlNode::children(std::string_view name) const {
  std::vector<XmlNode> found;
  for (xmlNode* at = node_ == nullptr ? nullptr : node_->children; at != nullptr; at = at->next) {
    if (is_called(at, name)) found.emplace_back(at);
  }
  return found;
}

std::string XmlNode::xml() const {
  const std::unique_ptr<xmlBuffer, base::FreeWith<&xmlBufferFree>> buffer(xmlBufferCreate());
  if (node_ == nullptr || !buffer || xmlNodeDump(buffer.get(), node_->doc, node_, 0, 0) < 0) return {};
  return reinterpret_cast<const char*>(xmlBufferContent(buffer.get()));
}

void XmlNode::set_attribute(const char* name, const std::string& value) {
  xmlSetProp(node_, to_xml(name), to_xml(value.c_str()));
}

void XmlNode::remove_attribute(const char* name) {
  if (node_ != nullptr) xmlUnsetProp(node_, to_xml(name));
}

void XmlNode::remove_attributes() {
  while (node_ != nullptr && node_->properties != nullptr) xmlRemoveProp(node_->properties);
}

void XmlNode::set_text(const std::string& value) {
  const XmlString escaped(xmlEncodeSpecialChars(node_->doc, to_xml(value.c_str())));
  xmlNodeSetContent(node_, escaped.get());
}

XmlNode XmlNode::add_child(const char* name) {
  xmlNode* added = xmlNewChild(node_, nullptr, to_xml(name), nullptr);
  if (added == nullptr) base::fail(base::Fault::internal, "cannot add element '{}' to XML", name);
  return XmlNode(added);
}

XmlNode XmlNode::need_child(const char* name) {
  const XmlNode there = child(name);
  return there ? there : add_child(name);
}

XmlNode XmlNode::add_copy(const XmlNode& original) {
  xmlNode* copy = xmlDocCopyNode(original.node_, node_->doc, 1);
  if (copy == nullptr) base::fail(base::Fault::internal, "cannot copy element '{}' of XML", original.name());
  return XmlNode(xmlAddChild(node_, copy));
}

void XmlNode::remove() {
  if (node_ == nullptr) return;
  xmlUnlinkNode(node_);
  xmlFreeNode(node_);
  node_ = nullptr;
}

void XmlDocument::Free::operator()(_xmlDoc* document) const noexcept { xmlFreeDoc(document); }

XmlDocument XmlDocument::parse(std::string_view text, std::string_view what) {
  const std::unique_ptr<xmlParserCtxt, base::FreeWith<&xmlFreeParserCtxt>> context(xmlNewParserCtxt());
  if (!context || text.size() > INT_MAX) base::fail(base::Fault::internal, "{}: no memory to parse it", what);
  const int options = XML_PARSE_NONET | XML_PARSE_NOBLANKS | XML_PARSE_NOERROR | XML_PARSE_NOWARNING;
  XmlDocument document(
      xmlCtxtReadMemory(context.get(), text.data(), static_cast<int>(text.size()), nullptr, nullptr, options));
  if (!document.document_ || xmlDocGetRootElement(document.document_.get()) == nullptr) {
    const xmlError* error = xmlCtxtGetLastError(context.get());
    base::fail(base::Fault::corrupt, "{} is not valid XML: line {}: {}", what, error == nullptr ? 0 : error->line,
               first_line(error == nullptr ? nullptr : error->message));
  }
  return document;
}

XmlDocument XmlDocument::create(const char* root_name) {
  XmlDocument document(xmlNewDoc(to_xml("1.0")));
  xmlDocSetRootElement(document.document_.get(), xmlNewNode(nullptr, to_xml(root_name)));
  return document;
}

XmlNode XmlDocument::root() const { return XmlNode(xmlDocGetRootElement(document_.get())); }

std::string XmlDocument::text() const {
  const std::unique_ptr<xmlBuffer, base::FreeWith<&xmlBufferFree>> buffer(xmlBufferCreate());
  if (!buffer || xmlNodeDump(buffer.get(), document_.get(), xmlDocGetRootElement(document_.get()), 0, 1) < 0) {
    base::fail(base::Fault::internal, "cannot write XML");
  }
  return std::string(reinterpret_cast<const char*>(xmlBufferContent(buffer.get()))) + "\n";
}

}  // namespace icecore::hypervisor
