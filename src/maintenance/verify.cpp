// SPDX-License-Identifier: Apache-2.0
#include "maintenance/verify.hpp"

#include <algorithm>
#include <thread>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "maintenance/damage_notes.hpp"
#include "maintenance/group_check.hpp"
#include "maintenance/read_packs.hpp"
#include "repository/envelope.hpp"
#include "repository/lock_list.hpp"
#include "repository/prune_mark.hpp"
#include "repository/reader_lock.hpp"
#include "storage/get_if_there.hpp"

namespace icecore::maintenance {

using base::Fault;

namespace {

constexpr base::Milliseconds k_between_looks{1000};
constexpr base::Milliseconds k_tick{100};

class Verify {
 public:
  Verify(repository::Repository& repository, const VerifyOptions& options, const Watch& watch)
      : repository_(repository),
        options_(options),
        watch_(watch),
        lock_(repository, "verify"),
        survey_(repository, watch_) {
    watch_.on_tick = [this, outer = watch.on_tick] {
      lock_.refresh();
      outer();
    };
  }

  VerifyReport run() {
    check_keys();
    DamageNotes notes(repository_);
    read_packs(list_packs(repository_.storage()),
               {.percent = options_.read_percent.value_or(0), .suspects = notes.suspects()});
    check_marks(notes);
    check_structure();
    settle(notes, take_bad_packs());
    for (BadObject& bad : check_groups(repository_)) report_.damage.push_back(std::move(bad));
    take_findings();
    return std::move(report_);
  }

 private:
  // Reads it; what is thrown about its content becomes a finding.
  template <typename Action>
  void check(const std::string& object, Action&& action) {
    try {
      action();
    } catch (const base::Error& error) {
      if (error.fault() != Fault::corrupt && error.fault() != Fault::usage) throw;
      report_.damage.push_back({object, error.what()});
    }
  }

  void check_keys() {
    for (const storage::ObjectInfo& object : repository_.storage().list("keys")) {
      check(object.name, [&] {
        const auto bytes = storage::get_if_there(repository_.storage(), object.name,
                                                 repository::size_max(repository::ObjectKind::key_slot));
        if (bytes) repository::decode_slot(object.name.substr(object.name.rfind('/') + 1), *bytes);
      });
    }
  }

  // Always those that were damaged when they were last read, here or by whoever noted a loss because of it: nobody has
  // put them right by not reading them.
  void read_packs(const PackSizes& packs, ReadOptions how) {
    ReadHistory history(options_.history);
    how.threads = options_.threads;
    read_.add(maintenance::read_packs(repository_, packs, how, history, watch_));
    survey_.bad_blocks = read_.bad_blocks;
    survey_.bad_packs = read_.bad_footers;
  }

  void check_marks(const DamageNotes& notes) {
    std::vector<repository::DamagedPruneMark> damaged;
    check("prunes", [&] { repository::load_prune_marks(repository_, &damaged); });
    for (const auto& mark : damaged) report_.damage.push_back({mark.object, mark.reason});
    report_.damage.insert(report_.damage.end(), notes.unreadable().begin(), notes.unreadable().end());
  }

  void check_structure() {
    survey_.check_ends = true;
    survey_.read_doubted = [this](const std::set<repository::PackId>& packs) {
      read_packs(only(survey_.packs, packs), {});
    };
    survey_.read();
    look_in_marked_packs();
  }

  // What an index object of a later version names is not lost.
  void settle(DamageNotes& notes, const std::set<repository::PackId>& bad_packs) {
    const bool all_known = std::none_of(survey_.bad_indexes.begin(), survey_.bad_indexes.end(),
                                        [](const BadObject& bad) { return bad.newer; });
    if (all_known) report_.healed = notes.settle_found(survey_, bad_packs);
  }

  // What lies in packs marked for deletion is no loss, and no damage either while somebody at work beside us may be
  // about to take it back.
  void look_in_marked_packs() {
    const base::Stopwatch since;
    bool may_change = true;
    while (count_marked_packs() > 0 && may_change) {
      may_change = somebody_may_take_back(since.elapsed());
      if (may_change) pause();
      survey_.taken_back.clear();
      survey_.read();  // the last time after whoever was at work has ended
    }
    for (const repository::PackEntry& pack : survey_.taken_back) {
      report_.damage.push_back({repository::pack_object(pack.id), "restore points need it, and no index names it"});
    }
  }

  // As taken back; how many are needed. What is lost is looked for twice, because a list of objects that change is of
  // no one moment.
  std::size_t count_marked_packs() {
    for (bool sure = false; !survey_.losses.empty() && !sure;) {
      sure = survey_.take_back(find_missing()) == 0;
      survey_.read();
    }
    return survey_.taken_back.size();
  }

  bool somebody_may_take_back(base::Milliseconds waited) {
    const std::vector<repository::FoundLock> others = repository::list_locks(repository_, lock_.ids());
    return std::any_of(others.begin(), others.end(), [&](const repository::FoundLock& other) {
      const bool is_job = other.lock.mode == repository::LockMode::shared;
      return other.state == repository::LockState::alive &&
             waited < (is_job ? options_.patience_with_jobs : options_.patience_with_prunes);
    });
  }

  void pause() const {
    watch_.on_phase("wait for others at work");
    for (const base::Stopwatch since; since.elapsed() < k_between_looks; std::this_thread::sleep_for(k_tick)) {
      watch_.tick();
    }
  }

  std::vector<repository::PackEntry> find_missing() {
    std::set<repository::BlockName> missing = survey_.walk->missing();
    try {
      return repository::find_in_marked_packs(repository_, missing);
    } catch (const base::Error& error) {
      if (error.fault() != Fault::corrupt) throw;
      return {};  // a damaged mark, which is reported
    }
  }

  // A damaged pack that no index names is of no consequence: what was lost with it is missing in the index.
  std::set<repository::PackId> take_bad_packs() {
    std::set<repository::PackId> packs;
    for (const BadPack& bad : read_.bad) {
      if (!survey_.table.has(bad.id) && !survey_.missing_packs.contains(bad.id)) continue;
      report_.damage.push_back({repository::pack_object(bad.id), bad.reason});
      packs.insert(bad.id);
    }
    return packs;
  }

  void take_findings() {
    report_.packs_read = read_.packs;
    report_.bytes_read = read_.bytes;
    report_.points = survey_.points.size() + survey_.bad_manifests.size();
    report_.live_blocks = survey_.walk->live_blocks();
    report_.packs = survey_.packs.size();
    for (const auto& [id, size] : survey_.packs) report_.bytes += size;
    for (const auto& [id, size] : survey_.packs_before) {
      report_.unindexed_packs += survey_.table.has(id) || survey_.missing_packs.contains(id) ? 0U : 1U;
    }
    for (const auto* bad : {&survey_.bad_indexes, &survey_.bad_manifests}) {
      report_.damage.insert(report_.damage.end(), bad->begin(), bad->end());
    }
    for (const auto& [id, reason] : survey_.missing_packs) {
      if (!survey_.bad_packs.contains(id)) report_.damage.push_back({repository::pack_object(id), reason});
    }
    for (const std::string& problem : survey_.walk->problems()) report_.damage.push_back({"image tree", problem});
    report_.losses = survey_.losses;
  }

  repository::Repository& repository_;
  const VerifyOptions& options_;
  Watch watch_;
  repository::ReaderLock lock_;
  Survey survey_;
  ReadResult read_;
  VerifyReport report_;
};

}  // namespace

VerifyReport verify(repository::Repository& repository, const VerifyOptions& options, const Watch& watch) {
  return base::with_context([&] { return Verify(repository, options, watch).run(); }, "verify of '{}'",
                            repository.storage().url());
}

}  // namespace icecore::maintenance
