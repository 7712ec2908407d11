// SPDX-License-Identifier: Apache-2.0
#include "job/state.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.hpp"

namespace icecore::job {

namespace {

constexpr std::array k_names = {
    std::pair{JobState::planned, "planned"},
    std::pair{JobState::frozen, "frozen"},
    std::pair{JobState::snapshotted, "snapshotted"},
    std::pair{JobState::thawed, "thawed"},
    std::pair{JobState::reading, "reading"},
    std::pair{JobState::sealed, "sealed"},
    std::pair{JobState::committing, "committing"},
    std::pair{JobState::committed, "committed"},
    std::pair{JobState::uploading, "uploading"},
    std::pair{JobState::published, "published"},
    std::pair{JobState::writing, "writing"},
    std::pair{JobState::written, "written"},
    std::pair{JobState::defined, "defined"},
    std::pair{JobState::aborting, "aborting"},
    std::pair{JobState::done, "done"},
    std::pair{JobState::failed, "failed"},
};

using Edge = std::pair<JobState, JobState>;

constexpr std::array k_backup_edges = {
    Edge{JobState::planned, JobState::frozen},
    Edge{JobState::frozen, JobState::snapshotted},
    Edge{JobState::snapshotted, JobState::thawed},
    Edge{JobState::thawed, JobState::reading},
    Edge{JobState::reading, JobState::sealed},
    Edge{JobState::sealed, JobState::committing},
    Edge{JobState::committing, JobState::committed},
    Edge{JobState::committed, JobState::uploading},
    Edge{JobState::uploading, JobState::published},
    Edge{JobState::published, JobState::done},
    Edge{JobState::planned, JobState::aborting},
    Edge{JobState::frozen, JobState::aborting},
    Edge{JobState::snapshotted, JobState::aborting},
    Edge{JobState::thawed, JobState::aborting},
    Edge{JobState::reading, JobState::aborting},
    Edge{JobState::aborting, JobState::failed},
    // Staged: the queue of the spool remembers it from here on.
    Edge{JobState::uploading, JobState::done},
};

constexpr std::array k_restore_edges = {
    Edge{JobState::planned, JobState::writing},  Edge{JobState::writing, JobState::written},
    Edge{JobState::written, JobState::defined},  Edge{JobState::written, JobState::done},
    Edge{JobState::defined, JobState::done},     Edge{JobState::planned, JobState::aborting},
    Edge{JobState::writing, JobState::aborting}, Edge{JobState::written, JobState::aborting},
    Edge{JobState::aborting, JobState::failed},
};

constexpr std::array k_merge_edges = {
    Edge{JobState::planned, JobState::committing},
    Edge{JobState::committing, JobState::committed},
    Edge{JobState::committed, JobState::done},
};

constexpr std::array k_kinds = {std::pair{JobKind::backup, "backup"}, std::pair{JobKind::restore, "restore"},
                                std::pair{JobKind::merge, "merge"}};

}  // namespace

std::string_view to_string(JobState state) noexcept {
  const auto found =
      std::find_if(k_names.begin(), k_names.end(), [&](const auto& entry) { return entry.first == state; });
  return found == k_names.end() ? "unknown" : found->second;
}

JobState parse_state(std::string_view text) {
  const auto found =
      std::find_if(k_names.begin(), k_names.end(), [&](const auto& entry) { return entry.second == text; });
  if (found == k_names.end())
    base::fail(base::Fault::corrupt, "the journal names a state '{}' that does not exist", text);
  return found->first;
}

std::string_view to_string(JobKind kind) noexcept {
  const auto found =
      std::find_if(k_kinds.begin(), k_kinds.end(), [&](const auto& entry) { return entry.first == kind; });
  return found == k_kinds.end() ? "unknown" : found->second;
}

JobKind parse_kind(std::string_view text) {
  const auto found =
      std::find_if(k_kinds.begin(), k_kinds.end(), [&](const auto& entry) { return entry.second == text; });
  if (found != k_kinds.end()) return found->first;
  base::fail(base::Fault::corrupt, "the journal names a kind of job '{}' that does not exist", text);
}

bool may_follow(JobKind kind, JobState from, JobState to) noexcept {
  if (from == to) return !is_final(from);
  const Edge edge{from, to};
  const auto has = [&](const auto& edges) { return std::find(edges.begin(), edges.end(), edge) != edges.end(); };
  if (kind == JobKind::merge) return has(k_merge_edges);
  return kind == JobKind::backup ? has(k_backup_edges) : has(k_restore_edges);
}

bool is_final(JobState state) noexcept { return state == JobState::done || state == JobState::failed; }

}  // namespace icecore::job
