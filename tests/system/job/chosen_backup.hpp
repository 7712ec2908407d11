// SPDX-License-Identifier: Apache-2.0
// How a RestlessDomain is backed up, and where that is cut short, as the dice fall.
#pragma once

#include <string>
#include <vector>

#include "system/job/restless_domain.hpp"

namespace icecore::system_test {

struct ChosenBackup {
  std::vector<std::string> words;    // of the command line
  std::vector<std::string> targets;  // of the disks it takes
  bool may_leave_layers = false;
  bool takes_memory = false;  // of a guest whose vCPUs run
};
ChosenBackup choose_backup(Dice& dice, const RestlessDomain& domain);
// The same, with the memory perhaps.
ChosenBackup choose_whole_backup(Dice& dice, const RestlessDomain& domain);

struct ChosenFailpoint {
  std::string name;
  bool is_passed_by_all = false;  // by every backup
};
ChosenFailpoint choose_failpoint(Dice& dice);

}  // namespace icecore::system_test
