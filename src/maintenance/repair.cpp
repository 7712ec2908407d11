// SPDX-License-Identifier: Apache-2.0
#include "maintenance/repair.hpp"

#include "base/failpoint.hpp"
#include "maintenance/damage_notes.hpp"
#include "maintenance/group_check.hpp"
#include "maintenance/index_rewrite.hpp"
#include "maintenance/read_packs.hpp"
#include "repository/index_object.hpp"
#include "repository/prune_mark.hpp"
#include "repository/repository_lock.hpp"

namespace icecore::maintenance {

using base::Fault;
using repository::PackId;

namespace {

class Repair {
 public:
  Repair(repository::Repository& repository, const RepairOptions& options, const Watch& watch)
      : repository_(repository),
        options_(options),
        watch_(watch),
        lock_(repository, repository::LockMode::maintenance, "repair"),
        notes_(repository),
        survey_(repository, watch_) {
    watch_.on_tick = [this, outer = watch.on_tick] {
      lock_.refresh();
      outer();
    };
    survey_.check_ends = true;
    survey_.read_doubted = [this](const std::set<PackId>& packs) { read_packs(only(survey_.packs, packs)); };
  }

  RepairReport run() {
    find_bad_packs();
    survey_.read();
    refuse_newer();
    index_unindexed();
    replace_indexes();
    survey_.bad_blocks.clear();
    survey_.bad_packs.clear();
    survey_.read();
    take_back_marked();
    note_losses();
    for (BadObject& bad : settle_groups(repository_, survey_.points)) report_.removed.push_back(std::move(bad));
    report_.points = survey_.points.size();
    report_.left.insert(report_.left.end(), survey_.bad_manifests.begin(), survey_.bad_manifests.end());
    return std::move(report_);
  }

 private:
  void find_bad_packs() {
    const ReadHistory history(options_.history);
    PackSizes suspects = list_packs(repository_.storage());
    std::erase_if(suspects, [&](const auto& pack) {
      const auto read = history.find(pack.first);
      return !options_.read_data && !notes_.suspects().contains(pack.first) && !(read && !read->good);
    });
    read_packs(suspects);
  }

  void read_packs(const PackSizes& packs) {
    ReadHistory history(options_.history);
    ReadResult result = maintenance::read_packs(repository_, packs, {}, history, watch_);
    for (const BadPack& bad : result.bad) bad_.insert(bad.id);
    survey_.bad_packs.merge(result.bad_footers);
    survey_.bad_blocks.merge(result.bad_blocks);
  }

  // An index object of a later version says what it says; it is not ours to replace.
  void refuse_newer() const {
    for (const BadObject& bad : survey_.bad_indexes) {
      if (bad.newer) throw base::Error(Fault::usage, bad.reason);
    }
  }

  // Packs whose index is lost. Garbage gets into the index too; a prune takes it out again.
  void index_unindexed() {
    std::set<PackId> passed_over;
    for (const repository::PruneMark& mark : load_marks()) passed_over.insert(mark.packs.begin(), mark.packs.end());
    watch_.on_phase("index packs");
    IndexSink index(repository_);
    PackSink packs(repository_, index);
    Repack salvage(repository_, packs);
    for (const auto& [id, size] : survey_.packs_before) {
      if (survey_.table.has(id) || survey_.missing_packs.contains(id) || passed_over.contains(id)) continue;
      watch_.tick();
      index_pack(id, size, index, salvage);
    }
    salvage.finish();
    packs.finish();
    index.finish();
  }

  void index_pack(const PackId& id, std::uint64_t size, IndexSink& index, Repack& salvage) {
    try {
      repository::PackEntry pack =
          repository::read_pack_footer(repository_.storage(), repository_.keys(), repository_.config(), id, size);
      if (bad_.contains(id)) {
        salvage.salvage(pack);
        ++report_.packs_salvaged;
      } else {
        index.add(std::move(pack));
        ++report_.packs_indexed;
      }
    } catch (const base::Error& error) {
      if (error.fault() != Fault::corrupt) throw;
      report_.left.push_back({repository::pack_object(id), error.what()});
    }
  }

  // Damaged ones are removed: packs of no index are taken into it again, and the next prune marks what is needless.
  std::vector<repository::PruneMark> load_marks() {
    std::vector<repository::DamagedPruneMark> damaged;
    std::vector<repository::PruneMark> marks = repository::load_prune_marks(repository_, &damaged);
    for (const repository::DamagedPruneMark& mark : damaged) {
      repository_.storage().remove(mark.object);
      report_.removed.push_back({mark.object, mark.reason});
    }
    return marks;
  }

  // Salvages damaged packs, drops missing ones.
  void replace_indexes() {
    std::vector<PackFate> fates;
    bool any = !survey_.missing_packs.empty();
    for (const repository::TablePack& pack : survey_.table.packs()) {
      fates.push_back(bad_.contains(pack.id) ? PackFate::salvage : PackFate::keep);
      any = any || fates.back() != PackFate::keep;
    }
    for (const auto& [id, reason] : survey_.missing_packs)
      report_.packs_missing += survey_.packs.contains(id) ? 0U : 1U;
    if (any) {
      IndexRewrite rewrite(repository_, survey_, watch_);
      rewrite.run(fates);
      report_.packs_salvaged += rewrite.packs_salvaged();
    }
    // All that could be said of their packs stands in other objects by now.
    for (const BadObject& bad : survey_.bad_indexes) repository_.storage().remove(bad.object);
    base::failpoint("repair.index_replaced");
  }

  void take_back_marked() {
    while (!survey_.losses.empty()) {
      std::set<repository::BlockName> missing = survey_.walk->missing();
      if (load_marks().empty() || repository::rescue_marked_packs(repository_, missing) == 0) return;
      survey_.read();
    }
  }

  void note_losses() {
    report_.healed = notes_.settle_repaired(survey_);
    base::failpoint("repair.damage_noted");
    report_.losses = survey_.losses;
  }

  repository::Repository& repository_;
  const RepairOptions& options_;
  Watch watch_;
  repository::RepositoryLock lock_;
  DamageNotes notes_;
  Survey survey_;
  std::set<PackId> bad_;  // read, and not what they should be
  RepairReport report_;
};

}  // namespace

RepairReport repair(repository::Repository& repository, const RepairOptions& options, const Watch& watch) {
  return base::with_context([&] { return Repair(repository, options, watch).run(); }, "repair of '{}'",
                            repository.storage().url());
}

}  // namespace icecore::maintenance
