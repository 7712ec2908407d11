// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/text_diff.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace icecore::hypervisor {

namespace {

using Lines = std::vector<std::string_view>;

struct Edit {
  char sign;  // ' ', '-' or '+'
  std::string_view line;
};

constexpr std::size_t k_context = 3;

Lines split(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// common[i][j]: length of the longest common subsequence of before[i..] and after[j..], as one flat table.
std::vector<std::size_t> common_table(const Lines& before, const Lines& after) {
  const std::size_t width = after.size() + 1;
  std::vector<std::size_t> common((before.size() + 1) * width);
  for (std::size_t i = before.size(); i-- > 0;) {
    for (std::size_t j = after.size(); j-- > 0;) {
      common[i * width + j] = before[i] == after[j] ? common[(i + 1) * width + j + 1] + 1
                                                    : std::max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  return common;
}

std::vector<Edit> edits_of(const Lines& before, const Lines& after) {
  const std::vector<std::size_t> common = common_table(before, after);
  const std::size_t width = after.size() + 1;
  std::vector<Edit> edits;
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < before.size() || j < after.size()) {
    if (i < before.size() && j < after.size() && before[i] == after[j]) {
      edits.push_back({' ', before[i++]});
      ++j;
    } else if (j == after.size() || (i < before.size() && common[(i + 1) * width + j] >= common[i * width + j + 1])) {
      edits.push_back({'-', before[i++]});
    } else {
      edits.push_back({'+', after[j++]});
    }
  }
  return edits;
}

// Which lines are printed: changes and what is near them.
std::vector<bool> shown_of(const std::vector<Edit>& edits) {
  std::vector<bool> shown(edits.size());
  for (std::size_t at = 0; at < edits.size(); ++at) {
    if (edits[at].sign == ' ') continue;
    const std::size_t from = at - std::min(at, k_context);
    const std::size_t to = std::min(at + k_context + 1, edits.size());
    std::fill(shown.begin() + static_cast<std::ptrdiff_t>(from), shown.begin() + static_cast<std::ptrdiff_t>(to), true);
  }
  return shown;
}

// "12,3", or "11,0" for a side with no line in the hunk: the line before it, as diff counts.
std::string range(std::size_t first, std::size_t count) {
  return fmt::format("{},{}", count == 0 ? first - 1 : first, count);
}

}  // namespace

std::string unified_diff(std::string_view old_text, std::string_view new_text, std::string_view old_name,
                         std::string_view new_name) {
  if (old_text == new_text) return {};
  const std::vector<Edit> edits = edits_of(split(old_text), split(new_text));
  const std::vector<bool> shown = shown_of(edits);
  std::string text = fmt::format("--- {}\n+++ {}\n", old_name, new_name);
  std::size_t old_line = 1;
  std::size_t new_line = 1;
  for (std::size_t at = 0; at < edits.size();) {
    if (!shown[at]) {  // never a change, so both sides advance
      ++at, ++old_line, ++new_line;
      continue;
    }
    const std::size_t old_first = old_line;
    const std::size_t new_first = new_line;
    std::string hunk;
    for (; at < edits.size() && shown[at]; ++at) {
      if (edits[at].sign != '+') ++old_line;
      if (edits[at].sign != '-') ++new_line;
      hunk += fmt::format("{}{}\n", edits[at].sign, edits[at].line);
    }
    text += fmt::format("@@ -{} +{} @@\n{}", range(old_first, old_line - old_first),
                        range(new_first, new_line - new_first), hunk);
  }
  return text;
}

}  // namespace icecore::hypervisor
