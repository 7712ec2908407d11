// SPDX-License-Identifier: Apache-2.0
// Which repository this host has met under which URL. A server that shows another one there, or the same one without
// its encryption, is found out before anything is sent to it, as ssh does with host keys.
//
// One file for each URL below the folder, replaced as a whole: any number of processes may use it at once.
#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "repository/config.hpp"

namespace icecore::repository {

enum class Remember { yes, no };

class KnownRepositories {
 public:
  // The folder is made when something is remembered.
  explicit KnownRepositories(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // Remembers the first repository met under `url`; where that is not permitted nothing is remembered and nothing
  // said. Fault::conflict when others are known there and this is none of them.
  void check(const std::string& url, const Config& config, Remember remember = Remember::yes) const;

  // The ids of all that are known, under whatever URL. What cannot be read is left out.
  std::set<std::string> ids() const;

  // From now on this one is good there, beside those known already (disks used in turn under one mount point).
  void accept(const std::string& url, const Config& config) const;
  // From now on only this one is: it was just made.
  void replace(const std::string& url, const Config& config) const;

 private:
  std::filesystem::path file_of(const std::string& url) const;

  std::filesystem::path folder_;
};

}  // namespace icecore::repository
