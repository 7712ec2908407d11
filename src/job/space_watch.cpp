// SPDX-License-Identifier: Apache-2.0
#include "job/space_watch.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "base/shell_word.hpp"
#include "job/overlay_place.hpp"

namespace icecore::job {

namespace fs = std::filesystem;

namespace {

constexpr base::Milliseconds k_interval{500};

struct FileSystem {
  fs::path folder;           // in it
  double share_min = 0;      // that must stay free
  std::uint64_t needed = 0;  // bytes for the merges into it
};

// Nothing: it is no file, or not there.
std::optional<std::uint64_t> allocated_bytes(const fs::path& file) {
  constexpr std::uint64_t k_sector = 512;  // of st_blocks, whatever the file system
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return static_cast<std::uint64_t>(status.st_blocks) * k_sector;
}

std::map<dev_t, FileSystem> file_systems_of(const std::vector<WatchedFile>& files, double share_min) {
  std::map<dev_t, FileSystem> found;
  for (const WatchedFile& watched : files) {
    FileSystem& own = found[file_system_of(watched.file.parent_path())];
    own.folder = watched.file.parent_path();
    own.share_min = share_min;
    const std::uint64_t growth = growth_of_base(watched);
    if (growth == 0) continue;
    FileSystem& of_base = found[file_system_of(watched.base.parent_path())];
    if (of_base.folder.empty()) of_base.folder = watched.base.parent_path();
    of_base.needed += growth;
  }
  return found;
}

bool has_room(std::uint64_t bytes, double share, const FileSystem& place) {
  const double needed_share = bytes == 0 ? 0 : share * static_cast<double>(place.needed) / static_cast<double>(bytes);
  return place.needed <= bytes && share - needed_share >= place.share_min;
}

void require_room_in(const FileSystem& place) {
  const auto [bytes, share] = free_space(place.folder);
  if (has_room(bytes, share, place)) return;
  base::Error error(base::Fault::no_space,
                    fmt::format("only {} ({:.1f} %) are left in '{}', where the guest's writes go during the backup{}",
                                base::format_size(bytes), share * 100, place.folder.string(),
                                place.needed == 0 ? ""
                                                  : fmt::format(", and to merge what it has written may take {}",
                                                                base::format_size(place.needed))));
  throw error.add_hint(
      "free some space there, or name another folder: --overlay-dir DIR, in a policy <overlay folder=\"DIR\"/>");
}

}  // namespace

std::uint64_t growth_of_base(const WatchedFile& watched) {
  const auto written = allocated_bytes(watched.file);
  const auto held = allocated_bytes(watched.base);
  if (!written || !held || *held >= watched.base_size) return 0;
  return std::min(*written, watched.base_size - *held);
}

void require_room_to_merge(const std::string& domain, const std::string& target, const WatchedFile& layer,
                           double share_min) {
  const FileSystem place{.folder = layer.base.parent_path(), .share_min = share_min, .needed = growth_of_base(layer)};
  if (place.needed == 0) return;
  const auto [bytes, share] = free_space(place.folder);
  if (has_room(bytes, share, place)) return;
  base::Error error(
      base::Fault::no_space,
      fmt::format("disk '{}': to merge its layer into '{}' may take {}, and {} ({:.1f} %) are free there", target,
                  layer.base.string(), base::format_size(place.needed), base::format_size(bytes), share * 100));
  throw error.add_hint(fmt::format("free some space there; `icecore recover {} --merge-layers` merges without asking",
                                   base::shell_operand(domain)));
}

void SpaceWatch::check() {
  if (since_check_ && since_check_->elapsed() < k_interval) return;
  since_check_.emplace();
  if (age_.elapsed() > age_max_) {
    throw base::Error(base::Fault::unavailable,
                      fmt::format("the guest has been writing to an overlay for {} minutes, and the backup is not over",
                                  std::chrono::duration_cast<std::chrono::minutes>(age_.elapsed()).count()))
        .add_hint("if that is fine, raise --overlay-age-max, in a policy <overlay age-max-minutes=\"...\"/>");
  }
  for (const auto& [device, place] : file_systems_of(files_, share_min_)) require_room_in(place);
}

}  // namespace icecore::job
