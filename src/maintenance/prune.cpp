// SPDX-License-Identifier: Apache-2.0
#include "maintenance/prune.hpp"

#include <algorithm>

#include "base/failpoint.hpp"
#include "base/id.hpp"
#include "maintenance/damage_notes.hpp"
#include "maintenance/index_rewrite.hpp"
#include "maintenance/prune_plan.hpp"
#include "maintenance/repack.hpp"
#include "repository/damage_mark.hpp"
#include "repository/index_object.hpp"
#include "repository/prune_mark.hpp"
#include "repository/repository_lock.hpp"

namespace icecore::maintenance {

using base::Fault;
using repository::PackId;
using repository::PruneMark;

namespace {

// Clocks of hosts differ a little; a mark further ahead than that is of no use as a time.
constexpr std::chrono::minutes k_clock_skew_max{10};
constexpr std::chrono::hours k_leftover_age{24};

class Prune {
 public:
  Prune(repository::Repository& repository, const PruneOptions& options, const Watch& watch)
      : repository_(repository),
        storage_(repository.storage()),
        options_(options),
        watch_(watch),
        lock_(repository, repository::LockMode::maintenance, "prune"),
        survey_(repository, watch_) {
    watch_.on_tick = [this, outer = watch.on_tick] {
      lock_.refresh();
      outer();
    };
  }

  PruneReport run() {
    look();
    const PrunePlan plan = plan_prune(survey_, repository_.config(), options_.live_percent_min, marked());
    describe(plan);
    if (!options_.dry_run) {
      tidy_marks();
      mark(plan);
      remove_leftovers();
    }
    sweep();
    count_waiting(plan);
    return report_;
  }

 private:
  // ---- look
  void look() {
    for (;;) {
      survey_.doubtful_packs = DamageNotes(repository_).suspects();
      survey_.read();
      marks_ = repository::load_prune_marks(repository_);
      refuse_unreadable();
      if (survey_.losses.empty()) return;
      // Marked by an earlier prune, and needed since: a backup that had left out these blocks was published.
      const std::size_t rescued = take_back_marked();
      if (rescued == 0) return refuse_losses();
      note(fmt::format("{} packs marked for deletion are needed by newer restore points; they stay", rescued));
    }
  }

  // How many packs; a dry run only sees them as taken back.
  std::size_t take_back_marked() {
    std::set<repository::BlockName> missing = survey_.walk->missing();
    if (!options_.dry_run) return repository::rescue_marked_packs(repository_, missing);
    return survey_.take_back(repository::find_in_marked_packs(repository_, missing));
  }

  // Of what a point needs that cannot be read nothing is known: it stops a prune until a person gives it up.
  void refuse_unreadable() const {
    for (const auto* bad : {&survey_.bad_indexes, &survey_.bad_manifests}) {
      if (bad->empty()) continue;
      const BadObject& first = bad->front();
      base::Error error(
          first.newer ? Fault::usage : Fault::corrupt,
          fmt::format("nothing is pruned while what '{}' needs is unknown: {}", first.object, first.reason));
      if (first.newer) throw error.add_hint("prune with the icecore that made it, or a newer one");
      throw error.add_hint(bad == &survey_.bad_indexes ? "icecore repair" : way_out_for_unreadable(first.object));
    }
  }

  // A point may have lost what a repair has noted, and nothing else.
  void refuse_losses() const {
    const repository::DamageObjects noted = repository::list_damage(repository_);
    for (const DiskLoss& loss : survey_.losses) {
      const auto marks = noted.find(loss.point_id);
      if (marks != noted.end() && is_noted(loss, marks->second)) continue;
      throw base::Error(Fault::corrupt,
                        fmt::format("nothing is pruned: blocks of disk '{}' of restore point {} ('{}') are missing",
                                    loss.disk, base::short_id(loss.point_id), loss.domain_name))
          .add_hint("icecore repair");
    }
  }

  bool is_noted(const DiskLoss& loss, const std::set<std::string>& marks) const {
    return std::any_of(marks.begin(), marks.end(), [&](const std::string& object) {
      try {
        const auto mark = repository::load_mark(repository_, object);
        return mark && mark->repaired && repository::covers(*mark, loss.disk, loss.ranges);
      } catch (const base::Error& error) {
        if (error.fault() != Fault::corrupt) throw;
        return false;
      }
    });
  }

  std::set<PackId> marked() const {
    std::set<PackId> packs;
    for (const PruneMark& mark : marks_) {
      for (const PackId& pack : mark.packs) {
        if (!survey_.table.has(pack)) packs.insert(pack);
      }
    }
    return packs;
  }

  void describe(const PrunePlan& plan) {
    report_.points = survey_.points.size();
    report_.live_blocks = plan.live_blocks;
    for (const auto& [id, size] : survey_.packs) report_.before.bytes += size;
    report_.before.packs = survey_.packs.size();
    report_.kept = {plan.packs_kept, plan.bytes_kept};
    report_.needless = {plan.packs_removed, plan.bytes_removed};
    report_.rewritten = {plan.packs_moved, plan.bytes_moved};
    report_.written.bytes = plan.bytes_live_moved;
    if (!survey_.missing_packs.empty()) {
      note(fmt::format("{} packs of the index are not there; no restore point that is whole needs them",
                       survey_.missing_packs.size()));
    }
  }

  // ---- mark
  // Packs that are needed again or gone leave their mark; one from the future begins its grace now.
  void tidy_marks() {
    for (PruneMark& mark : marks_) {
      PruneMark tidy{base::random_id(16), mark.created, {}};
      std::copy_if(mark.packs.begin(), mark.packs.end(), std::back_inserter(tidy.packs),
                   [&](const PackId& pack) { return !survey_.table.has(pack) && survey_.packs.contains(pack); });
      if (mark.created > base::now() + k_clock_skew_max) {
        note(fmt::format("packs were marked for deletion at {}, which is in the future: their grace begins now",
                         base::format_time(mark.created)));
        tidy.created = base::now();
      }
      if (tidy.packs == mark.packs && tidy.created == mark.created) continue;
      if (!tidy.packs.empty()) repository::store_prune_mark(repository_, tidy);
      storage_.remove(repository::prune_mark_object(mark.id));
      mark = std::move(tidy);
    }
    std::erase_if(marks_, [](const PruneMark& mark) { return mark.packs.empty(); });
  }

  void mark(const PrunePlan& plan) {
    PruneMark mark{base::random_id(16), base::now(), plan.unindexed};
    for (std::size_t i = 0; i < plan.fates.size(); ++i) {
      if (plan.fates[i] != PackFate::keep) mark.packs.push_back(survey_.table.packs()[i].id);
    }
    if (mark.packs.empty()) return;
    // Before the index: whoever finds the index without a pack finds the mark with it. While an index names a pack
    // its mark means nothing.
    repository::store_prune_mark(repository_, mark);
    base::failpoint("prune.marked");
    if (plan.changes_index()) {
      IndexRewrite rewrite(repository_, survey_, watch_);
      rewrite.run(plan.fates);
      report_.written = {rewrite.packs_written().size(), rewrite.bytes_written()};
      for (const std::string& text : rewrite.notes()) note(text);
      index_changes_ = rewrite.changes();
    }
    marks_.push_back(std::move(mark));
    // A point that came after the look and was proved against the old index may need what left it; one that comes from
    // here on is proved against the new one (publish_check.hpp).
    if (a_point_came()) look_again();
  }

  bool a_point_came() const {
    const std::set<std::string> known(survey_.manifests.begin(), survey_.manifests.end());
    const std::vector<std::string> now = repository::list_manifest_objects(repository_);
    return std::any_of(now.begin(), now.end(), [&](const std::string& object) { return !known.contains(object); });
  }

  void look_again() {
    look();
    tidy_marks();
    index_changes_ = {};
  }

  // Of uploads, and of anybody else who was killed while writing.
  void remove_leftovers() {
    static const std::vector<std::string> k_folders = {"packs", "index",      "manifests",   "groups", "prunes",
                                                       "locks", "heartbeats", "protections", "damage", "keys"};
    const std::size_t removed = storage_.remove_leftovers(k_folders, k_leftover_age);
    if (removed > 0) note(fmt::format("{} half-written files of interrupted runs were removed", removed));
  }

  // ---- sweep
  bool is_due(const PruneMark& mark) const { return mark.created + options_.grace <= base::now(); }

  void sweep() {
    if (std::none_of(marks_.begin(), marks_.end(), [&](const PruneMark& mark) { return is_due(mark); })) return;
    if (options_.dry_run) return count_due();
    try {
      lock_.make_exclusive();
    } catch (const base::Error& error) {
      if (error.fault() != Fault::busy) throw;
      note(fmt::format("what was marked is deleted by the next prune: {}", error.what()));
      return;
    }
    watch_.on_phase("delete packs");
    base::failpoint("prune.sweeping");
    if (something_came()) look_again();
    for (const PruneMark& mark : marks_) {
      if (is_due(mark)) sweep(mark);
    }
    std::erase_if(marks_, [&](const PruneMark& mark) { return is_due(mark); });
  }

  // Whether a restore point or an index object appeared since the look.
  bool something_came() const {
    std::set<std::string> known;
    for (const IndexFacts& index : survey_.indexes) known.insert(index.id);
    for (const std::string& id : index_changes_.written) known.insert(id);
    for (const std::string& id : index_changes_.removed) known.erase(id);
    const std::vector<std::string> ids = repository::list_indexes(storage_);
    return std::set(ids.begin(), ids.end()) != known ||
           repository::list_manifest_objects(repository_) != survey_.manifests;
  }

  bool is_indexed(const PackId& pack) const {
    return survey_.table.has(pack) && !index_changes_.dropped.contains(pack);
  }

  void sweep(const PruneMark& mark) {
    for (const PackId& pack : mark.packs) {
      if (is_indexed(pack)) continue;
      watch_.tick();
      storage_.remove(repository::pack_object(pack));
      base::failpoint("prune.pack_deleted");
      if (const auto size = survey_.packs.find(pack); size != survey_.packs.end()) {
        report_.deleted.bytes += size->second;
        ++report_.deleted.packs;
      }
    }
    storage_.remove(repository::prune_mark_object(mark.id));
    base::failpoint("prune.mark_removed");
  }

  void count_due() {
    for (const PruneMark& mark : marks_) {
      if (is_due(mark)) count(mark, report_.deleted);
    }
  }
  void count(const PruneMark& mark, PackCount& sum) const {
    for (const PackId& pack : mark.packs) {
      const auto size = survey_.packs.find(pack);
      if (size == survey_.packs.end() || is_indexed(pack)) continue;
      sum.bytes += size->second;
      ++sum.packs;
    }
  }
  void count_waiting(const PrunePlan& plan) {
    for (const PruneMark& mark : marks_) {
      if (options_.dry_run && is_due(mark)) continue;
      count(mark, report_.waiting);
      const base::Timestamp due = mark.created + options_.grace;
      report_.due = std::min(report_.due.value_or(due), due);
    }
    if (!options_.dry_run) return;
    PackCount& now = options_.grace.count() == 0 ? report_.deleted : report_.waiting;
    now.packs += plan.packs_removed + plan.packs_moved;
    now.bytes += plan.bytes_removed + plan.bytes_moved;
  }

  void note(std::string text) { report_.notes.push_back(std::move(text)); }

  repository::Repository& repository_;
  storage::Storage& storage_;
  const PruneOptions& options_;
  Watch watch_;
  repository::RepositoryLock lock_;
  Survey survey_;
  std::vector<PruneMark> marks_;
  IndexChanges index_changes_;
  PruneReport report_;
};

}  // namespace

PruneReport prune(repository::Repository& repository, const PruneOptions& options, const Watch& watch) {
  return base::with_context([&] { return Prune(repository, options, watch).run(); }, "prune of '{}'",
                            repository.storage().url());
}

}  // namespace icecore::maintenance
