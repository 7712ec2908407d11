// SPDX-License-Identifier: Apache-2.0
// The text of a recovery sheet: plain, at most 78 columns, readable by people and by --key-file.
#pragma once

#include <string>

#include "base/clock.hpp"
#include "repository/secret.hpp"

namespace icecore::cli {

struct SheetFacts {
  std::string url;  // without secrets
  std::string repository_id;
  base::Timestamp repository_created{};
  std::string slot;  // id of the key slot the key opens
  base::Timestamp made{};
  std::string host;
};

// Holds the key: the caller wipes it.
std::string format_recovery_sheet(const SheetFacts& facts, const repository::Secret& key);

}  // namespace icecore::cli
