// SPDX-License-Identifier: Apache-2.0
#include "storage/sftp_storage.hpp"

#include <thread>

#include "base/error.hpp"
#include "base/id.hpp"
#include "base/log.hpp"
#include "base/shell_word.hpp"
#include "storage/sftp_download.hpp"
#include "storage/sftp_fault.hpp"
#include "storage/sftp_upload.hpp"

namespace icecore::storage {

using base::Fault;

namespace {

constexpr std::size_t k_temp_random_bytes = 8;

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

std::string new_temporary(const std::string& path) {
  return fmt::format("{}.tmp-{}", path, base::random_id(k_temp_random_bytes));
}

}  // namespace

SftpStorage::SftpStorage(const SftpUrl& url, const SftpSettings& settings)
    : url_(url.text),
      root_(url.path),
      backoff_(settings.backoff),
      pool_(resolve_ssh_target(url, settings.accept_new_host_key), settings.deadlines, settings.connections) {
  base::with_context([&] { open_root(settings.create); }, "{}", url_);
}

void SftpStorage::open_root(bool create) {
  const SftpPool::Lease channel = pool_.take();
  std::optional<SftpAttributes> root = look_at(*channel, root_);
  if (!root && create) root = make_root(*channel);
  if (!root) {
    throw base::Error(Fault::not_found, fmt::format("there is no folder '{}' on the server", root_))
        .add_hint(fmt::format("icecore init -r {}", base::shell_word(url_)));
  }
  expect_folder(root_, *root);
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

// Does it over one connection; when that breaks, over the next, with pauses between.
template <typename Operation>
auto SftpStorage::perform(Operation&& operation) {
  Backoff backoff(backoff_);
  std::optional<base::Stopwatch> failing;
  for (;;) {
    bool answered = false;
    try {
      const SftpPool::Lease channel = pool_.take();
      const base::ScopeExit note([&] { answered = channel->is_settled(); });
      return operation(*channel);
    } catch (base::Error& error) {
      error.add_context(url_);
      if (error.fault() != Fault::unavailable || answered) throw;
      if (!failing) failing.emplace();
      const auto pause = backoff.next(failing->elapsed());
      if (!pause) throw;
      base::log_info("{}; again in {} ms", error.what(), pause->count());
      std::this_thread::sleep_for(*pause);
    }
  }
}

void SftpStorage::put(const std::string& name, std::span<const base::ByteView> parts) { store(name, parts, false); }

void SftpStorage::replace(const std::string& name, base::ByteView bytes) { store(name, std::span(&bytes, 1), true); }

void SftpStorage::store(const std::string& name, std::span<const base::ByteView> parts, bool replace) {
  const std::vector<std::string> folders = folders_above(name);
  SftpUpload object{.path = path_of(name), .parts = parts, .replace = replace};
  // Folders known to exist are not made again, unless somebody has removed them meanwhile.
  const auto missing_folders = [&](bool all) {
    return folders_.with([&](const std::set<std::string>& known) {
      std::vector<std::string> missing;
      for (const std::string& folder : folders) {
        if (all || !known.contains(folder)) missing.push_back(path_of(folder));
      }
      return missing;
    });
  };
  perform([&](SftpChannel& channel) {
    object.abandoned = std::exchange(object.temporary, new_temporary(object.path));
    object.folders = missing_folders(/*all=*/false);
    try {
      upload(channel, object);
    } catch (const base::Error& error) {
      if (error.fault() != Fault::not_found || object.folders.size() == folders.size()) throw;
      object.folders = missing_folders(/*all=*/true);
      upload(channel, object);
    }
    folders_.with([&](std::set<std::string>& known) { known.insert(folders.begin(), folders.end()); });
  });
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

std::optional<std::uint64_t> SftpStorage::size_of(const std::string& name) {
  return perform([&](SftpChannel& channel) {
    const auto found = look_at(channel, path_of(name));
    return found ? found->size : std::nullopt;
  });
}

std::vector<ObjectInfo> SftpStorage::list(const std::string& folder) {
  return perform([&](SftpChannel& channel) { return list_below(channel, root_, folder); });
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

}  // namespace icecore::storage
