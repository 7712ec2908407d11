// SPDX-License-Identifier: Apache-2.0
// An XML file as plain values with line numbers: elements, attributes, nothing of libxml2. No network, no
// external files and no DTD are ever read.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace icecore::policy {

// What is wrong on which line (1 is the first; 0: with the file as a whole).
struct Problem {
  unsigned line = 0;
  std::string text;
};

struct Attribute {
  std::string name;
  std::string value;
};

struct Element {
  std::string name;
  unsigned line = 0;
  std::vector<Attribute> attributes;
  std::vector<Element> children;
  bool has_text = false;  // text other than white space stands between its children
};

struct XmlTree {
  std::optional<Element> root;  // empty when there are problems
  std::vector<Problem> problems;
};

// Never throws for what the text holds.
XmlTree parse_xml(std::string_view text);

// What a RELAX NG schema says against the text; empty when it is valid. `text` parses, `schema` is a schema.
std::vector<Problem> validate(std::string_view text, std::string_view schema);

}  // namespace icecore::policy
