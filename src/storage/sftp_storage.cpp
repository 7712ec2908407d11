// SPDX-License-Identifier: Apache-2.0
#include "storage/sftp_storage.hpp"

#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/error.hpp"
#include "base/handle.hpp"
#include "base/log.hpp"
#include "base/shell_word.hpp"
#include "storage/sftp_download.hpp"
#include "storage/sftp_fault.hpp"
#include "storage/sftp_prepared_file.hpp"

namespace icecore::storage {

using base::Fault;

namespace {

// "a/b/c": "a", "a/b". An absolute path's are absolute.
std::vector<std::string> folders_above(const std::string& path) {
  std::vector<std::string> folders;
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    folders.push_back(path.substr(0, slash));
  }
  return folders;
}

void expect_folder(const std::string& path, const SftpAttributes& found) {
  if (!found.mode || found.is_folder()) return;
  throw base::Error(Fault::not_found, fmt::format("'{}' on the server is no folder", path))
      .add_hint("name a folder in the URL");
}

// False when a stop was asked for before the time was over.
bool pause_for(base::Milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  never.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace

// Does it over one connection. `answered`: a failure is what the server says, and not that it is away.
template <typename Operation>
auto SftpStorage::attempt(Operation&& operation, bool& answered) {
  answered = false;
  try {
    if (given_up_) base::fail(Fault::cancelled, "the server did not answer when we were asked to stop");
    const SftpPool::Lease channel = pool_.take();
    const base::ScopeExit note([&] { answered = channel->is_settled(); });
    return operation(*channel);
  } catch (base::Error& error) {
    error.add_context(url_);
    if (error.fault() != Fault::unavailable || answered || !stop_.stop_requested()) throw;
    given_up_ = true;
    throw base::Error(Fault::cancelled, error.what());
  }
}

// When a connection breaks, over the next, with pauses between.
template <typename Operation>
auto SftpStorage::perform(Operation&& operation, SftpBatch* batch) {
  Backoff backoff(backoff_);
  std::optional<base::Stopwatch> failing;
  for (bool answered = false;;) {
    try {
      return attempt(operation, answered);
    } catch (const base::Error& error) {
      if (error.fault() != Fault::unavailable || answered) throw;
      if (batch != nullptr && batch->take_progress()) {
        backoff = Backoff(backoff_);
        failing.reset();
      }
      if (!failing) failing.emplace();
      const auto pause = backoff.next(failing->elapsed());
      if (!pause) throw;
      base::log_info("{}; again in {} ms", error.what(), pause->count());
      if (!pause_for(*pause, stop_)) throw base::Error(Fault::cancelled, error.what());
    }
  }
}

SftpStorage::SftpStorage(const SftpUrl& url, const SftpSettings& settings)
    : url_(url.text),
      root_(url.path),
      backoff_(settings.backoff),
      stop_(settings.deadlines.stop),
      pool_(resolve_ssh_target(url, settings.accept_new_host_key), settings.deadlines, settings.connections) {
  for (unsigned i = 0; i < settings.connected_ahead; ++i) ahead_.emplace_back([this] { make_ahead(); });
  bool answered = false;
  attempt([&](SftpChannel& channel) { open_root(channel, settings.create); }, answered);
}

void SftpStorage::make_ahead() noexcept {
  try {
    pool_.connect_ahead();
  } catch (const std::exception& error) {
    base::log_info("no connection to '{}' was made ahead: {}", url_, error.what());
  }
}

void SftpStorage::open_root(SftpChannel& channel, bool create) {
  std::optional<SftpAttributes> root = look_at(channel, root_);
  if (!root && create) root = make_root(channel);
  if (!root) {
    throw base::Error(Fault::not_found, fmt::format("there is no folder '{}' on the server", root_))
        .add_hint(fmt::format("icecore init -r {}", base::shell_word(url_)));
  }
  expect_folder(root_, *root);
}

// Else what is asked of a disk that is not mounted there would be missing.
void SftpStorage::expect_root(SftpChannel& channel) const {
  if (look_at(channel, root_)) return;
  base::fail(Fault::unavailable, "the folder '{}' on the server is gone; is its disk mounted?", root_);
}

SftpAttributes SftpStorage::make_root(SftpChannel& channel) {
  std::vector<std::string> folders = folders_above(root_);
  folders.push_back(root_);
  std::vector<SftpChannel::Id> ids;
  for (const std::string& folder : folders) ids.push_back(channel.make_folder(folder));
  SftpReply made;
  for (const SftpChannel::Id id : ids) made = channel.await(id);
  if (const auto root = look_at(channel, root_)) return *root;
  for (const std::string& folder : folders) {
    if (const auto seen = look_at(channel, folder)) expect_folder(folder, *seen);
  }
  fail_write(channel, made, ".", "cannot make the folder '" + root_ + "'");
}

void SftpStorage::put(const std::string& name, std::span<const base::ByteView> parts) {
  store(item_of(name, {.parts = parts}));
}

void SftpStorage::put_file(const std::string& name, const std::filesystem::path& file) {
  store(item_of(name, {.file = file}));
}

void SftpStorage::replace(const std::string& name, base::ByteView bytes) {
  store(item_of(name, {.parts = std::span(&bytes, 1), .replace = true}));
}

void SftpStorage::put_files(const NextFile& next, const FileStored& stored) {
  const auto next_item = [&]() -> std::optional<SftpBatch::Item> {
    const std::optional<NamedFile> file = next();
    if (!file) return std::nullopt;
    return item_of(file->name, {.file = file->file});
  };
  SftpBatch batch(folders_, next_item, stored);
  store(batch);
}

std::unique_ptr<PreparedFile> SftpStorage::prepare_file(const std::string& name, const std::filesystem::path& file) {
  std::optional<SftpPool::Lease> channel = pool_.take_spare();
  if (!channel) return Storage::prepare_file(name, file);
  return std::make_unique<SftpPreparedFile>(std::move(*channel), item_of(name, {.file = file}),
                                            [this](SftpBatch::Item item) { store(std::move(item)); });
}

SftpBatch::Item SftpStorage::item_of(const std::string& name, SftpObject object) const {
  object.path = path_of(name);
  std::vector<std::string> folders = folders_above(name);
  for (std::string& folder : folders) folder = path_of(folder);
  return {.name = name, .object = std::move(object), .folders = std::move(folders)};
}

void SftpStorage::store(SftpBatch::Item item) {
  std::optional<SftpBatch::Item> only = std::move(item);
  SftpBatch batch(
      folders_, [&] { return std::exchange(only, std::nullopt); }, [](const std::string&) {});
  store(batch);
}

void SftpStorage::store(SftpBatch& batch) {
  const auto send = [&](SftpChannel& channel) {
    for (;;) {
      try {
        return batch.send(channel, stop_);
      } catch (const base::Error& error) {
        if (error.fault() != Fault::not_found) throw;
        expect_root(channel);
        if (!batch.doubt_folders()) throw;
      }
    }
  };
  perform(send, &batch);
}

base::Bytes SftpStorage::get(const std::string& name, std::uint64_t size_max) {
  return perform([&](SftpChannel& channel) { return download(channel, path_of(name), size_max); });
}

base::Bytes SftpStorage::get_range(const std::string& name, std::uint64_t offset, std::size_t length) {
  return perform([&](SftpChannel& channel) { return download_range(channel, path_of(name), offset, length); });
}

bool SftpStorage::exists(const std::string& name) {
  return perform([&](SftpChannel& channel) { return look_at(channel, path_of(name)).has_value(); });
}

std::optional<std::uint64_t> SftpStorage::size_of(const std::string& name) { return sizes_of({name}).front(); }

std::vector<std::optional<std::uint64_t>> SftpStorage::sizes_of(const std::vector<std::string>& names) {
  std::vector<std::string> paths;
  for (const std::string& name : names) paths.push_back(path_of(name));
  return perform([&](SftpChannel& channel) {
    std::vector<std::optional<std::uint64_t>> sizes;
    for (const auto& found : look_at(channel, paths)) sizes.push_back(found ? found->size : std::nullopt);
    return sizes;
  });
}

std::vector<ObjectInfo> SftpStorage::list(const std::string& folder) {
  return perform([&](SftpChannel& channel) {
    std::vector<ObjectInfo> objects = list_below(channel, root_, folder).objects;
    if (objects.empty()) expect_root(channel);
    return objects;
  });
}

std::vector<std::string> SftpStorage::entries() {
  return perform([&](SftpChannel& channel) { return names_in(channel, root_); });
}

void SftpStorage::remove(const std::string& name) {
  perform([&](SftpChannel& channel) {
    const std::string path = path_of(name);
    const SftpReply reply = channel.await(channel.path_request(SftpType::remove, path));
    if (!reply.ok() && reply.status != SftpStatus::no_such_file)
      fail_write(channel, reply, root_, "cannot remove '" + path + "'");
  });
}

std::size_t SftpStorage::remove_leftovers(std::span<const std::string> folders, std::chrono::seconds age) {
  std::vector<SftpTemporary> temporaries;
  std::uint32_t newest = 0;
  for (const std::string& folder : folders) {
    SftpListing found = perform([&](SftpChannel& channel) { return list_below(channel, root_, folder); });
    newest = std::max(newest, found.newest);
    std::move(found.temporaries.begin(), found.temporaries.end(), std::back_inserter(temporaries));
  }
  std::size_t removed = 0;
  for (const SftpTemporary& temporary : temporaries) {
    if (std::chrono::seconds(newest - temporary.changed) < age) continue;
    remove(temporary.name);
    ++removed;
  }
  return removed;
}

}  // namespace icecore::storage
