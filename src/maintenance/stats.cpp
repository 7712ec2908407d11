// SPDX-License-Identifier: Apache-2.0
#include "maintenance/stats.hpp"

#include <algorithm>
#include <limits>

#include "maintenance/survey.hpp"
#include "repository/index_object.hpp"
#include "repository/reader_lock.hpp"

namespace icecore::maintenance {

using repository::Manifest;

namespace {

struct BlockCost {
  std::uint32_t raw = 0;
  std::uint32_t stored = 0;  // its share of its frame
};

constexpr int k_turns_max = 10;

// Who needs a block: nobody, the domain of that number, or several.
constexpr std::uint16_t k_nobody = 0;
constexpr std::uint16_t k_several = std::numeric_limits<std::uint16_t>::max();

class StatsCollector {
 public:
  StatsCollector(repository::Repository& repository, const Watch& watch)
      : repository_(repository), watch_(watch), survey_(repository, watch_) {}

  RepositoryStats collect() {
    survey_.read();
    for (const auto* bad : {&survey_.bad_indexes, &survey_.bad_manifests}) {
      if (bad->empty()) continue;
      throw base::Error(base::Fault::corrupt, bad->front().reason).add_hint("icecore verify");
    }
    costs_.resize(survey_.table.size());
    owners_.assign(survey_.table.size(), k_nobody);
    for (const IndexFacts& index : survey_.indexes) read_costs(index.id);
    std::map<std::string, std::vector<const Manifest*>> domains;
    for (const Manifest& point : survey_.points) domains[point.domain_uuid].push_back(&point);
    for (const auto& [uuid, points] : domains) add_domain(points);
    add_totals();
    return std::move(stats_);
  }

 private:
  void read_costs(const std::string& id) {
    for (const repository::PackEntry& pack :
         repository::load_index(repository_.storage(), repository_.keys(), repository_.config(), id)) {
      watch_.tick();
      const auto at = survey_.table.index_of(pack.id);
      if (!at) continue;
      std::uint32_t number = survey_.table.packs()[*at].first_block;
      for (const repository::FrameEntry& frame : pack.frames) {
        for (const repository::FrameBlock& block : frame.blocks) {
          const std::uint64_t share = std::uint64_t{frame.stored_length} * block.length / frame.raw_length;
          costs_[number++] = {block.length, static_cast<std::uint32_t>(share)};
        }
      }
    }
  }

  void add_domain(const std::vector<const Manifest*>& points) {
    DomainStats domain{points.back()->domain_name, points.back()->domain_uuid, {}, 0};
    repository::LiveWalk walk(repository_, survey_.table);
    for (const Manifest* point : points) {
      watch_.tick();
      ++domain.amounts.points;
      for (const auto& disk : point->disks) {
        domain.amounts.logical_bytes += disk.allocated_bytes;
        walk.walk(disk.image);
      }
      for (const auto& blob : point->blobs) {
        domain.amounts.logical_bytes += blob.size;
        walk.walk(blob.image);
      }
    }
    stats_.domains.push_back(std::move(domain));
    own(walk, static_cast<std::uint16_t>(std::min<std::size_t>(stats_.domains.size(), k_several - 1)));
  }

  void own(const repository::LiveWalk& walk, std::uint16_t owner) {
    Amounts& amounts = stats_.domains.back().amounts;
    for (std::uint32_t i = 0; i < owners_.size(); ++i) {
      if (!walk.is_live(i)) continue;
      amounts.unique_bytes += costs_[i].raw;
      amounts.stored_bytes += costs_[i].stored;
      owners_[i] = owners_[i] == k_nobody ? owner : k_several;
    }
  }

  void add_totals() {
    for (std::uint32_t i = 0; i < owners_.size(); ++i) {
      if (owners_[i] == k_nobody) continue;
      stats_.total.unique_bytes += costs_[i].raw;
      stats_.total.stored_bytes += costs_[i].stored;
      if (owners_[i] != k_several) stats_.domains[owners_[i] - 1U].own_bytes += costs_[i].stored;
    }
    for (const DomainStats& domain : stats_.domains) {
      stats_.total.points += domain.amounts.points;
      stats_.total.logical_bytes += domain.amounts.logical_bytes;
    }
    stats_.packs = survey_.packs.size();
    for (const auto& [id, size] : survey_.packs) stats_.pack_bytes += size;
    std::sort(stats_.domains.begin(), stats_.domains.end(),
              [](const DomainStats& a, const DomainStats& b) { return a.name < b.name; });
  }

  repository::Repository& repository_;
  const Watch& watch_;
  Survey survey_;
  std::vector<BlockCost> costs_;       // by block number
  std::vector<std::uint16_t> owners_;  // likewise
  RepositoryStats stats_;
};

double ratio(std::uint64_t of, std::uint64_t to) {
  return to == 0 ? 1.0 : static_cast<double>(of) / static_cast<double>(to);
}

}  // namespace

double Amounts::dedup_ratio() const { return ratio(logical_bytes, unique_bytes); }
double Amounts::compression_ratio() const { return ratio(unique_bytes, stored_bytes); }

RepositoryStats collect_stats(repository::Repository& repository, const Watch& watch) {
  repository::ReaderLock lock(repository, "stats");
  Watch own = watch;
  own.on_tick = [&] {
    lock.refresh();
    watch.on_tick();
  };
  for (int turn = 1;; ++turn) {
    try {
      return StatsCollector(repository, own).collect();
    } catch (const base::Error& error) {
      // A prune replaced index objects between the two readings of them.
      if (error.fault() != base::Fault::not_found || turn == k_turns_max) throw;
    }
  }
}

}  // namespace icecore::maintenance
