// SPDX-License-Identifier: Apache-2.0
#include "job/space_watch.hpp"

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "job/overlay_place.hpp"

namespace icecore::job {

namespace {
constexpr base::Milliseconds k_interval{500};
}

void SpaceWatch::check() {
  if (since_check_ && since_check_->elapsed() < k_interval) return;
  since_check_.emplace();
  if (age_.elapsed() > age_max_) {
    throw base::Error(base::Fault::unavailable,
                      fmt::format("the guest has been writing to an overlay for {} minutes, and the backup is not over",
                                  std::chrono::duration_cast<std::chrono::minutes>(age_.elapsed()).count()))
        .add_hint("raise --overlay-age-max if that is fine");
  }
  const auto [bytes, share] = free_space(overlay_.parent_path());
  if (share >= share_min_) return;
  base::Error error(base::Fault::no_space,
                    fmt::format("only {} ({:.1f} %) are left in '{}', where the guest's writes go during the backup",
                                base::format_size(bytes), share * 100, overlay_.parent_path().string()));
  throw error.add_hint("free some space there, or name another folder with --overlay-dir");
}

}  // namespace icecore::job
