// SPDX-License-Identifier: Apache-2.0
#include "system/job/chosen_backup.hpp"

namespace icecore::system_test {

namespace {

const std::string k_layer_mode = "--change-map=layer";
const std::string k_copy_mode = "--mode=copy";

// Those are not touched: what changes on them is for a later point, and a layer of theirs stays.
void leave_disks_out(ChosenBackup& backup, Dice& dice) {
  const std::string target = dice.one_of(backup.targets);
  const bool alone = dice.below(2) == 0;
  backup.words.push_back((alone ? "--disk=" : "--exclude-disk=") + target);
  std::erase_if(backup.targets, [&](const std::string& one) { return (one == target) != alone; });
  backup.may_leave_layers = true;
  dice.tell(" {}", backup.words.back());
}

}  // namespace

ChosenBackup choose_backup(Dice& dice, const RestlessDomain& domain) {
  static const std::vector<std::string> modes = {
      "",           "",           "",           "",           "--change-map=scan", k_copy_mode,
      k_layer_mode, k_layer_mode, k_layer_mode, k_layer_mode, "--recheck=1000"};
  const std::string& mode = dice.one_of(modes);
  dice.tell(" {}", mode);
  ChosenBackup backup{.words = {"backup", domain.subject.domain.name(), "--quiesce=off"}, .targets = domain.targets()};
  if (!mode.empty()) backup.words.push_back(mode);
  backup.may_leave_layers = mode == k_layer_mode || mode == k_copy_mode;
  if (dice.below(5) == 0) leave_disks_out(backup, dice);
  return backup;
}

// A guest goes on with all its disks or not at all.
ChosenBackup choose_whole_backup(Dice& dice, const RestlessDomain& domain) {
  ChosenBackup backup = choose_backup(dice, domain);
  const bool takes_all = backup.targets.size() == domain.targets().size();
  if (!domain.subject.domain.is_running() || !takes_all || dice.below(4) != 0) return backup;
  backup.words.insert(backup.words.end(), {"--full-state", dice.below(2) == 0 ? "--pause" : "--live"});
  backup.takes_memory = true;
  dice.tell(" with memory");
  return backup;
}

ChosenFailpoint choose_failpoint(Dice& dice) {
  static const std::vector<std::string> states = {"frozen",     "snapshotted", "thawed",    "reading",  "sealed",
                                                  "committing", "committed",   "uploading", "published"};
  static const std::vector<std::string> moments = {"intent", "acted", "fact"};
  // Only where there are layers, a memory, or overlays that are merged live, or offline.
  static const std::vector<std::string> others = {
      "layer.before_commit",   "layer.commit_begun",      "layer.committed_live", "layer.before_unlink",
      "layer.unlinked",        "layer.committed_offline", "layer.rebased",        "merge.intent.committed",
      "merge.acted.committed", "backup.memory_stored",    "commit.ready",         "commit.pivot",
      "return.merged_offline", "return.redefining",       "return.before_unlink"};
  if (dice.below(3) == 0) return {.name = dice.one_of(others)};
  const std::string moment = dice.one_of(moments);
  return {.name = "backup." + moment + "." + dice.one_of(states), .is_passed_by_all = true};
}

}  // namespace icecore::system_test
