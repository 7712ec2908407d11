// SPDX-License-Identifier: Apache-2.0
#include "policy/element_reader.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "base/nearest_name.hpp"

namespace icecore::policy {

namespace {

bool contains(const std::vector<std::string>& list, const std::string& word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

// " (did you mean 'retention'?)", or what is known when nothing is near.
std::string suggestion(const std::string& word, const std::vector<std::string>& known) {
  if (const std::string near = base::nearest_name(word, known); !near.empty()) {
    return fmt::format(" (did you mean '{}'?)", near);
  }
  return known.empty() ? "" : fmt::format(" (known: {})", fmt::join(known, ", "));
}

}  // namespace

ElementReader::ElementReader(const Element& element, std::vector<Problem>& problems)
    : element_(element), problems_(problems) {}

void ElementReader::report_at(unsigned line, std::string text) { problems_.push_back({line, std::move(text)}); }

std::optional<std::string> ElementReader::optional_text(std::string_view attribute) {
  known_attributes_.emplace_back(attribute);
  for (const Attribute& candidate : element_.attributes) {
    if (candidate.name != attribute) continue;
    if (!candidate.value.empty()) return candidate.value;
    report(fmt::format("attribute '{}' of <{}> is empty", attribute, element_.name));
    return {};
  }
  return {};
}

std::string ElementReader::required_text(std::string_view attribute) {
  const std::size_t problems_before = problems_.size();
  std::optional<std::string> text = optional_text(attribute);
  if (!text && problems_.size() == problems_before) {
    report(fmt::format("<{}> needs the attribute '{}'", element_.name, attribute));
  }
  return text.value_or("");
}

std::optional<unsigned> ElementReader::optional_number(std::string_view attribute, NumberRange range) {
  const std::optional<std::string> text = optional_text(attribute);
  if (!text) return {};
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || value < range.min || value > range.max) {
    report(fmt::format("{}=\"{}\" of <{}> is not a whole number from {} to {}", attribute, *text, element_.name,
                       range.min, range.max));
    return {};
  }
  return value;
}

std::string ElementReader::required_word(std::string_view attribute, const std::vector<std::string>& words) {
  static_cast<void>(required_text(attribute));
  return optional_word(attribute, words);
}

std::string ElementReader::optional_word(std::string_view attribute, const std::vector<std::string>& words) {
  const std::string word = optional_text(attribute).value_or("");
  if (word.empty() || contains(words, word)) return word;
  report(fmt::format("{}=\"{}\" of <{}> is not one of: {}", attribute, word, element_.name, fmt::join(words, ", ")));
  return "";
}

std::optional<std::string> ElementReader::optional_path(std::string_view attribute) {
  std::optional<std::string> path = optional_text(attribute);
  if (path && !path->starts_with('/')) {
    report(fmt::format("{}=\"{}\" of <{}> is not an absolute path", attribute, *path, element_.name));
    return {};
  }
  return path;
}

std::vector<const Element*> ElementReader::children(std::string_view name) {
  known_children_.emplace_back(name);
  std::vector<const Element*> found;
  for (const Element& child : element_.children) {
    if (child.name == name) found.push_back(&child);
  }
  return found;
}

const Element* ElementReader::optional_child(std::string_view name) {
  const std::vector<const Element*> found = children(name);
  if (found.size() > 1) {
    report_at(found[1]->line, fmt::format("a second <{}>; the first is on line {}", name, found[0]->line));
  }
  return found.empty() ? nullptr : found[0];
}

const Element* ElementReader::required_child(std::string_view name) {
  const Element* child = optional_child(name);
  if (child == nullptr) report(fmt::format("<{}> needs a <{}>", element_.name, name));
  return child;
}

void ElementReader::finish() {
  for (const Attribute& attribute : element_.attributes) {
    if (contains(known_attributes_, attribute.name)) continue;
    report(fmt::format("unknown attribute '{}' of <{}>{}", attribute.name, element_.name,
                       suggestion(attribute.name, known_attributes_)));
  }
  for (const Element& child : element_.children) {
    if (contains(known_children_, child.name)) continue;
    report_at(child.line, fmt::format("unknown element <{}> in <{}>{}", child.name, element_.name,
                                      suggestion(child.name, known_children_)));
  }
  if (element_.has_text) report(fmt::format("<{}> holds text, which means nothing here", element_.name));
}

}  // namespace icecore::policy
