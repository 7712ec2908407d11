// SPDX-License-Identifier: Apache-2.0
#include "staging/spool.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "base/log.hpp"

namespace icecore::staging {

namespace {

constexpr std::uint64_t k_default_share = 5;  // of the file system: a fifth
// Without it an object that is uploaded could not be noted, and would never make room.
constexpr std::uint64_t k_queue_room = 8 * base::k_mib;
constexpr std::uint64_t k_identity_size_max = 64 * base::k_kib;

std::uint64_t default_limit(const std::filesystem::path& folder) {
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(folder, error);
  if (error) base::fail_errno(error.value(), "look at the space of '" + folder.string() + "'");
  return space.capacity / k_default_share;
}

std::unique_ptr<storage::LocalFolder> make_folder(const std::filesystem::path& path) {
  base::create_folders(path);
  return std::make_unique<storage::LocalFolder>(path);
}

SpoolPlace read_identity(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "spool.json";
  const std::string what = "'" + path.string() + "'";
  const base::Json json = base::parse_json(base::to_string(base::read_file(path, k_identity_size_max)), what);
  return {folder, base::json_field<std::string>(json, "repository_id", what),
          base::json_field<std::string>(json, "url", what)};
}

void write_identity(const SpoolPlace& place) {
  const std::filesystem::path path = place.folder / "spool.json";
  const std::string text = base::Json{{"repository_id", place.repository_id}, {"url", place.url}}.dump() + "\n";
  base::write_durably(path, base::as_bytes(text));
}

// Locked, or empty when another process holds it.
std::optional<base::Fd> try_lock(const std::filesystem::path& path) {
  base::Fd file = base::open_file(path, O_RDWR | O_CREAT);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return file;
  if (errno != EWOULDBLOCK) base::fail_errno(errno, "lock '" + path.string() + "'");
  return std::nullopt;
}

}  // namespace

std::vector<SpoolPlace> find_spools(const std::filesystem::path& staging_dir) {
  std::vector<SpoolPlace> places;
  std::error_code error;
  for (std::filesystem::directory_iterator at(staging_dir, error), end; !error && at != end; at.increment(error)) {
    if (!std::filesystem::exists(at->path() / "spool.json")) continue;
    try {
      places.push_back(read_identity(at->path()));
    } catch (const base::Error& failure) {
      base::log_warning("staging '{}' is left out: {}", at->path().string(), failure.what());
    }
  }
  return places;
}

Spool::Spool(const SpoolPlace& place, std::uint64_t bytes_max) : place_(place) {
  base::create_folders(place_.folder / "writers");
  bytes_max_ = bytes_max == 0 ? default_limit(place_.folder) : bytes_max;
  objects_ = make_folder(place_.folder / "objects");
  cached_ = make_folder(place_.folder / "cached");
  queue_ = std::make_unique<UploadQueue>(place_.folder);
  if (std::error_code missing; std::filesystem::exists(place_.folder / "spool.json", missing)) {
    place_.url = read_identity(place_.folder).url;
  } else {
    write_identity(place_);
  }
}

std::uint64_t Spool::bytes_max() const {
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(place_.folder, error);
  if (error) return bytes_max_;
  const std::uint64_t free = space.available - std::min(space.available, k_queue_room);
  return std::min(bytes_max_, queue_->bytes_in_transit() + free);
}

void Spool::claim(const std::string& url) {
  if (url == place_.url) return;
  if (!queue_->queued(1).empty()) {
    throw base::Error(base::Fault::conflict,
                      fmt::format("points wait in '{}' for their upload to '{}'", place_.folder.string(), place_.url))
        .add_hint("icecore upload");
  }
  place_.url = url;
  write_identity(place_);
}

base::Fd Spool::begin_writing(const std::string& writer) {
  return try_lock(place_.folder / "writers" / writer).value();  // the id is random: nobody else has it
}

bool Spool::writer_lives(const std::string& writer) const {
  const std::filesystem::path path = place_.folder / "writers" / writer;
  std::error_code missing;
  if (!std::filesystem::exists(path, missing)) return false;
  if (!try_lock(path)) return true;
  std::filesystem::remove(path, missing);
  return false;
}

std::optional<base::Fd> Spool::try_upload_lock() { return try_lock(place_.folder / "uploader"); }

void Spool::drop(const QueuedObject& object) {
  queue_->forget(object.number);
  objects_->remove(object.name);
}

void Spool::notify() {
  {
    const std::lock_guard lock(mutex_);
    ++changes_;
  }
  changed_.notify_all();
}

void Spool::wait(base::Milliseconds at_most, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, stop, at_most, [this, before = changes_] { return changes_ != before; });
}

}  // namespace icecore::staging
