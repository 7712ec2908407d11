// SPDX-License-Identifier: Apache-2.0
#include "maintenance/verify.hpp"

#include "base/log.hpp"
#include "maintenance/read_packs.hpp"
#include "repository/damage_mark.hpp"
#include "repository/envelope.hpp"
#include "repository/prune_mark.hpp"
#include "repository/repository_lock.hpp"

namespace icecore::maintenance {

using base::Fault;

namespace {

class Verify {
 public:
  Verify(repository::Repository& repository, const VerifyOptions& options, const Watch& watch)
      : repository_(repository),
        options_(options),
        watch_(watch),
        lock_(repository, repository::LockMode::shared, "verify"),
        survey_(repository, watch_) {
    watch_.on_tick = [this, outer = watch.on_tick] {
      lock_.refresh();
      outer();
    };
  }

  VerifyReport run() {
    check_keys();
    if (options_.read_percent) read_packs();
    survey_.check_ends = true;
    survey_.read();
    check_marks();
    take_findings();
    if (report_.losses.empty() && report_.damage.empty()) remove_healed_marks();
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
        const base::Bytes bytes =
            repository_.storage().get(object.name, repository::size_max(repository::ObjectKind::key_slot));
        repository::decode_slot(object.name.substr(object.name.rfind('/') + 1), bytes);
      });
    }
  }

  void read_packs() {
    ReadHistory history(options_.history);
    ReadResult result = maintenance::read_packs(repository_, list_packs(repository_.storage()), *options_.read_percent,
                                                history, watch_);
    report_.packs_read = result.packs;
    report_.bytes_read = result.bytes;
    for (const BadPack& bad : result.bad) report_.damage.push_back({repository::pack_object(bad.id), bad.reason});
    survey_.bad_blocks = std::move(result.bad_blocks);
    survey_.bad_packs = std::move(result.bad_footers);
  }

  void check_marks() {
    check("prunes", [&] { repository::load_prune_marks(repository_); });
    for (const std::string& point : repository::list_damaged_points(repository_)) {
      check(repository::damage_object(point), [&] { repository::load_damage(repository_, point); });
    }
  }

  void take_findings() {
    report_.points = survey_.manifests.size();
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

  void remove_healed_marks() {
    for (const std::string& point : repository::list_damaged_points(repository_)) {
      repository_.storage().remove(repository::damage_object(point));
      report_.healed.push_back(point);
    }
  }

  repository::Repository& repository_;
  const VerifyOptions& options_;
  Watch watch_;
  repository::RepositoryLock lock_;
  Survey survey_;
  VerifyReport report_;
};

}  // namespace

VerifyReport verify(repository::Repository& repository, const VerifyOptions& options, const Watch& watch) {
  return base::with_context([&] { return Verify(repository, options, watch).run(); }, "verify of '{}'",
                            repository.storage().url());
}

}  // namespace icecore::maintenance
