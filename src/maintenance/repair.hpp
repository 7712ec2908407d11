// SPDX-License-Identifier: Apache-2.0
// Puts a damaged repository in order: packs that no index names are read and named, packs that are gone leave the
// index, what can be read of damaged packs moves to new ones, and restore points that still lack blocks get a mark that
// says which. A lost block is in no index afterwards, so a backup that meets it stores it again.
//
// Nothing is deleted but index objects that new ones replace, prune marks that cannot be read, and objects of groups
// that are not true: damaged packs and points stay.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "maintenance/survey.hpp"

namespace icecore::maintenance {

struct RepairOptions {
  bool read_data = false;         // read all packs; else only those a verify found damaged
  std::filesystem::path history;  // read_history.hpp
};

struct RepairReport {
  std::size_t points = 0;
  std::size_t packs_indexed = 0;   // that no index named
  std::size_t packs_salvaged = 0;  // damaged ones, whose good blocks moved
  std::size_t packs_missing = 0;
  std::vector<BadObject> removed;   // damaged prune marks, groups that are not whole: nothing is lost by that
  std::vector<BadObject> left;      // what cannot be put right
  std::vector<DiskLoss> losses;     // noted at their points
  std::vector<std::string> healed;  // points that are whole again
};

// Takes the maintenance lock. Each step can be killed and begun again. Faults: busy, cancelled, usage
// (there is something of a newer version), those of the storage.
RepairReport repair(repository::Repository& repository, const RepairOptions& options, const Watch& watch);

}  // namespace icecore::maintenance
