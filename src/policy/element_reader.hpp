// SPDX-License-Identifier: Apache-2.0
// Takes an element's attributes and children one by one and reports what is missing, malformed or left over:
// whatever nobody asked for is unknown.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/xml_tree.hpp"

namespace icecore::policy {

struct NumberRange {
  unsigned min = 0;
  unsigned max = 0;
};

// Views an element and a list of problems, both of which must outlive it. Nothing throws.
class ElementReader {
 public:
  ElementReader(const Element& element, std::vector<Problem>& problems);

  const Element& element() const noexcept { return element_; }

  // The value, or empty; "" counts as missing.
  std::optional<std::string> optional_text(std::string_view attribute);
  // As optional_text(), but a missing one is a problem; "" then.
  std::string required_text(std::string_view attribute);
  // A whole number in the range; anything else is a problem.
  std::optional<unsigned> optional_number(std::string_view attribute, NumberRange range);
  // One of the words; anything else is a problem and gives "".
  std::string required_word(std::string_view attribute, const std::vector<std::string>& words);
  // The same; "" also when it is not there.
  std::string optional_word(std::string_view attribute, const std::vector<std::string>& words);
  // An absolute path.
  std::optional<std::string> optional_path(std::string_view attribute);

  // The only child of that name, if there is one; a second one is a problem.
  const Element* optional_child(std::string_view name);
  // As optional_child(), but none is a problem.
  const Element* required_child(std::string_view name);
  std::vector<const Element*> children(std::string_view name);

  // Reports the attributes, children and text nobody took. Called last.
  void finish();

  void report(std::string text) { report_at(element_.line, std::move(text)); }
  void report_at(unsigned line, std::string text);

 private:
  const Element& element_;
  std::vector<Problem>& problems_;
  std::vector<std::string> known_attributes_;
  std::vector<std::string> known_children_;
};

}  // namespace icecore::policy
