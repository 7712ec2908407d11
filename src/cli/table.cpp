// SPDX-License-Identifier: Apache-2.0
#include "cli/table.hpp"

#include <algorithm>
#include <cassert>

namespace icecore::cli {

namespace {

std::size_t width_of(const std::string& text) {
  constexpr unsigned char k_continuation_mask = 0xc0;
  constexpr unsigned char k_continuation = 0x80;
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & k_continuation_mask) != k_continuation;
  }));
}

std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, '?');
  return text;
}

std::string pad(const std::string& text, std::size_t width, Align align) {
  const std::string spaces(width - std::min(width, width_of(text)), ' ');
  return align == Align::left ? text + spaces : spaces + text;
}

void append_line(std::string& out, std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  out += line + '\n';
}

}  // namespace

std::string format_table(const std::vector<Column>& columns, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> lines(1);
  for (const Column& column : columns) lines[0].push_back(column.title);
  for (const std::vector<std::string>& row : rows) {
    assert(row.size() == columns.size());
    std::vector<std::string>& line = lines.emplace_back(row);
    std::transform(line.begin(), line.end(), line.begin(), printable);
  }
  std::vector<std::size_t> widths(columns.size(), 0);
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < columns.size(); ++i) widths[i] = std::max(widths[i], width_of(line[i]));
  }
  std::string out;
  for (const auto& line : lines) {
    std::string text;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      text += (i == 0 ? "" : "  ") + pad(line[i], widths[i], columns[i].align);
    }
    append_line(out, std::move(text));
  }
  return out;
}

std::string format_facts(const std::vector<std::pair<std::string, std::string>>& facts) {
  std::size_t width = 0;
  for (const auto& [name, value] : facts) width = std::max(width, width_of(name) + 1);
  std::string out;
  for (const auto& [name, value] : facts) {
    append_line(out, pad(name.empty() ? "" : name + ":", width, Align::left) + "  " + printable(value));
  }
  return out;
}

}  // namespace icecore::cli
