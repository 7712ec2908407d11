// SPDX-License-Identifier: Apache-2.0
// The door to libxml2: documents are owned, nodes are plain views into them. Text is parsed without network access
// and without entity expansion; what does not parse is Fault::corrupt naming what was being read.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

extern "C" {
struct _xmlDoc;
struct _xmlNode;
}

namespace icecore::hypervisor {

// One element. Valid while its document lives and until it is removed. A default one is absent: asking it gives
// nothing, which makes chains such as disk.child("source").attribute("file") safe.
class XmlNode {
 public:
  XmlNode() = default;
  explicit XmlNode(_xmlNode* node) noexcept : node_(node) {}
  explicit operator bool() const noexcept { return node_ != nullptr; }

  std::string name() const;
  // The attribute's value, or "" when it (or the node) is absent.
  std::string attribute(const char* name) const;
  bool has_attribute(const char* name) const;
  std::string text() const;
  // The element itself with all below it.
  std::string xml() const;
  // The first child element of that name and of no namespace.
  XmlNode child(std::string_view name) const;
  // The child elements of that name, or all of them.
  std::vector<XmlNode> children(std::string_view name = {}) const;
  // As child(), one step an argument: path("os", "loader").
  template <typename... Names>
  XmlNode path(std::string_view first, Names... rest) const {
    if constexpr (sizeof...(rest) == 0) {
      return child(first);
    } else {
      return child(first).path(rest...);
    }
  }

  void set_attribute(const char* name, const std::string& value);
  void remove_attribute(const char* name);
  void remove_attributes();
  void set_text(const std::string& value);
  XmlNode add_child(const char* name);
  // The first child of that name, added when there is none.
  XmlNode need_child(const char* name);
  // A copy of an element of any document, with all below it, as the last child.
  XmlNode add_copy(const XmlNode& original);
  // Takes the element out of the document and frees it; this view becomes absent.
  void remove();

 private:
  _xmlNode* node_ = nullptr;
};

class XmlDocument {
 public:
  // `what` names the text in errors ("the XML of domain 'web1'").
  static XmlDocument parse(std::string_view text, std::string_view what);
  static XmlDocument create(const char* root_name);

  XmlNode root() const;
  // The root element and its content, indented by two, without an XML declaration.
  std::string text() const;

 private:
  struct Free {
    void operator()(_xmlDoc* document) const noexcept;
  };
  explicit XmlDocument(_xmlDoc* document) : document_(document) {}
  std::unique_ptr<_xmlDoc, Free> document_;
};

}  // namespace icecore::hypervisor
