// SPDX-License-Identifier: Apache-2.0
#include "maintenance/read_history.hpp"

#include <sstream>

#include "base/error.hpp"

namespace icecore::maintenance {

namespace {

// "<pack id> <time> good"
std::optional<std::pair<repository::PackId, ReadHistory::Entry>> parse_line(const std::string& line) {
  std::istringstream words(line);
  std::string id;
  std::string time;
  std::string state;
  words >> id >> time >> state;
  const auto pack = repository::parse_pack_object("packs/" + id.substr(0, 2) + "/" + id);
  if (!pack || (state != "good" && state != "bad")) return std::nullopt;
  try {
    return std::pair(*pack, ReadHistory::Entry{base::parse_time(time), state == "good"});
  } catch (const base::Error&) {
    return std::nullopt;
  }
}

}  // namespace

ReadHistory::ReadHistory(std::filesystem::path file) {
  std::error_code ignored;
  std::filesystem::create_directories(file.parent_path(), ignored);
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    if (const auto parsed = parse_line(line)) entries_[parsed->first] = parsed->second;
  }
  file_.open(file, std::ios::app);
  file_ << '\n';  // ends a torn line
}

std::optional<ReadHistory::Entry> ReadHistory::find(const repository::PackId& pack) const {
  const auto found = entries_.find(pack);
  return found == entries_.end() ? std::nullopt : std::optional(found->second);
}

void ReadHistory::add(const repository::PackId& pack, bool good) {
  const Entry entry{base::now(), good};
  entries_[pack] = entry;
  file_ << pack.hex() << ' ' << base::format_time(entry.time) << (good ? " good" : " bad") << std::endl;
}

}  // namespace icecore::maintenance
