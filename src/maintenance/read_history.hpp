// SPDX-License-Identifier: Apache-2.0
// When this host last read each pack whole, and which were damaged then: a file of lines, one added and flushed for
// each pack, so that an interrupted verify goes on where it was. Deleting the file costs only reading again.
#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "base/clock.hpp"
#include "repository/frame_table.hpp"

namespace icecore::maintenance {

class ReadHistory {
 public:
  struct Entry {
    base::Timestamp time{};
    bool good = true;
  };

  // Reads the file, if there is one. Lines that are no such lines are passed over: the last may be torn.
  explicit ReadHistory(std::filesystem::path file);

  // When the pack was last read, or nothing.
  std::optional<Entry> find(const repository::PackId& pack) const;
  // Notes it in the file. A file that cannot be written is no failure: the next verify reads more, that is all.
  void add(const repository::PackId& pack, bool good);

 private:
  std::map<repository::PackId, Entry> entries_;
  std::ofstream file_;
};

}  // namespace icecore::maintenance
