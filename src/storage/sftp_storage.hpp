// SPDX-License-Identifier: Apache-2.0
// Objects as files below one folder of an SSH server, through SFTP alone: no shell and no program of ours is needed
// there. A broken connection is made anew and the operation begun again, for a while; what then still fails is
// Fault::unavailable, or cancelled after a stop.
#pragma once

#include <atomic>
#include <vector>

#include "base/error.hpp"
#include "flow/ahead.hpp"
#include "storage/backoff.hpp"
#include "storage/sftp_batch.hpp"
#include "storage/sftp_pool.hpp"
#include "storage/storage.hpp"

namespace icecore::storage {

struct SftpSettings {
  unsigned connections = 10;     // at most; as many are made as threads call at once
  unsigned connected_ahead = 0;  // made beside the first; the constructor does not wait for them
  bool create = false;           // makes the folder and those above it
  bool accept_new_host_key = false;
  SshDeadlines deadlines = {};
  BackoffSettings backoff = {};
};

class SftpStorage final : public Storage {
 public:
  // Connects, once. The folder must exist unless `create`. Fault::not_found, denied, conflict, unavailable, cancelled,
  // usage.
  SftpStorage(const SftpUrl& url, const SftpSettings& settings);

  std::string url() const override { return url_; }
  using Storage::put;
  void put(const std::string& name, std::span<const base::ByteView> parts) override;
  void put_file(const std::string& name, const std::filesystem::path& file) override;
  // A broken connection costs those under way another attempt; the time for that begins anew with each that is stored.
  void put_files(const NextFile& next, const FileStored& stored) override;
  std::unique_ptr<PreparedFile> prepare_file(const std::string& name, const std::filesystem::path& file) override;
  void replace(const std::string& name, base::ByteView bytes) override;
  base::Bytes get(const std::string& name, std::uint64_t size_max) override;
  base::Bytes get_range(const std::string& name, std::uint64_t offset, std::size_t length) override;
  bool exists(const std::string& name) override;
  std::optional<std::uint64_t> size_of(const std::string& name) override;
  std::vector<std::optional<std::uint64_t>> sizes_of(const std::vector<std::string>& names) override;
  void connect_ahead() override { pool_.connect_ahead(); }
  std::vector<ObjectInfo> list(const std::string& folder) override;
  std::vector<std::string> entries() override;
  void remove(const std::string& name) override;
  std::size_t remove_leftovers(std::span<const std::string> folders, std::chrono::seconds age) override;
  bool durable_puts() const override { return pool_.has_sync(); }
  std::uint64_t generation() const override { return pool_.losses(); }

 private:
  template <typename Operation>
  auto perform(Operation&& operation, SftpBatch* batch = nullptr);
  template <typename Operation>
  auto attempt(Operation&& operation, bool& answered);
  void expect_root(SftpChannel& channel) const;
  void open_root(SftpChannel& channel, bool create);
  SftpAttributes make_root(SftpChannel& channel);
  void store(SftpBatch& batch);
  void store(SftpBatch::Item item);
  SftpBatch::Item item_of(const std::string& name, SftpObject object) const;
  void make_ahead() noexcept;
  std::string path_of(const std::string& name) const { return root_ == "." ? name : root_ + "/" + name; }

  const std::string url_;
  const std::string root_;
  const BackoffSettings backoff_;
  const std::stop_token stop_;
  std::atomic<bool> given_up_ = false;  // the server did not answer after a stop
  SftpPool pool_;
  KnownFolders folders_;
  std::vector<flow::Ahead<void>> ahead_;  // end before the rest
};

}  // namespace icecore::storage
