// SPDX-License-Identifier: Apache-2.0
#include "job/restore_room.hpp"

#include <sys/stat.h>

#include <map>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "disk/block_device.hpp"
#include "job/overlay_place.hpp"

namespace icecore::job {

using base::Fault;

namespace fs = std::filesystem;

namespace {

// The folder, or the nearest above it that exists: --to DIR is only made when the restore begins.
fs::path existing_part(fs::path folder) {
  while (folder.has_relative_path() && !fs::exists(folder)) folder = folder.parent_path();
  return folder;
}

// What the old file gives back once the new one has its name: nothing when it has another name or is a link.
std::uint64_t bytes_given_back(const PlannedFile& file) {
  constexpr std::uint64_t k_block_bytes = 512;
  struct stat old {};
  if (!file.replaces || ::lstat(file.path.c_str(), &old) != 0 || !S_ISREG(old.st_mode) || old.st_nlink != 1) return 0;
  return static_cast<std::uint64_t>(old.st_blocks) * k_block_bytes;
}

struct FileSystem {
  fs::path folder;  // the first of it that something goes to
  std::uint64_t available = 0;
  std::uint64_t needed = 0;
};

// Added up before anything is asked: a file that is replaced gives back nothing before the end of its restore.
class Room {
 public:
  void take(const std::vector<RoomNeed>& needs) {
    for (const RoomNeed& need : needs) of(need).needed += need.bytes;
    for (const auto& [device, place] : places_) require(place);
    for (const RoomNeed& need : needs) of(need).available += need.given_back;
  }

 private:
  FileSystem& of(const RoomNeed& need) {
    const fs::path folder = existing_part(need.folder);
    const auto [place, is_new] = places_.try_emplace(file_system_of(folder));
    if (is_new) place->second = {.folder = folder, .available = free_space(folder).first};
    return place->second;
  }

  static void require(const FileSystem& place) {
    if (place.available >= place.needed) return;
    base::Error error(Fault::no_space,
                      fmt::format("the restore needs {} in '{}', which has {} free", base::format_size(place.needed),
                                  place.folder.string(), base::format_size(place.available)));
    throw error.add_hint("free some space, or restore disks elsewhere with --disk-path TARGET=PATH");
  }

  std::map<dev_t, FileSystem> places_;
};

}  // namespace

std::vector<RoomNeed> room_needed(const PreparedRestore& prepared) {
  std::vector<RoomNeed> needs;
  for (std::size_t i = 0; i < prepared.disks.size(); ++i) {
    const PlannedFile& file = prepared.plan.files[i];
    if (!file.device) needs.push_back({file.path.parent_path(), prepared.disk_bytes[i], bytes_given_back(file)});
  }
  for (const PlannedBlob& planned : prepared.blobs) {
    const PlannedFile& file = planned.file;
    needs.push_back({file.path.parent_path(), planned.blob->size, bytes_given_back(file)});
  }
  // It goes when the guest is on its way.
  if (!prepared.plan.memory_file.empty())
    needs.push_back({prepared.plan.memory_file.parent_path(), prepared.memory_bytes, prepared.memory_bytes});
  return needs;
}

void require_room(const std::vector<std::vector<RoomNeed>>& restores) {
  Room room;
  for (const std::vector<RoomNeed>& needs : restores) room.take(needs);
}

std::string describe_room(const PlannedFile& file, const repository::ManifestDisk& disk, std::uint64_t bytes) {
  const std::string size = base::format_size(disk.virtual_size);
  if (file.device) {
    return fmt::format("{} onto a device of {}", size, base::format_size(disk::device_size(file.path)));
  }
  return fmt::format("{}, {} of data; {} free there", size, base::format_size(bytes),
                     base::format_size(free_space(existing_part(file.path.parent_path())).first));
}

}  // namespace icecore::job
