// SPDX-License-Identifier: Apache-2.0
// A storage that is durable locally first. Packs, indexes and manifests are fsynced into the spool and queued; an
// Uploader brings them to the remote. Reads see the spool and the remote as one. `config` and `keys/*` are cached, so
// that a repository opens, takes blocks and a manifest while its remote does not answer, and so are index/* once seen.
// While it does not answer, or lets us no longer, what only the remote can tell is what it said last (which index/*
// there are), or missing with trouble() saying why (manifests/*, groups/*, protections/*, damage/*), or that fault (the
// rest). Locks are put on the remote when it takes them and done without when it does not: the uploader takes one of
// its own before it publishes.
//
// Threads: as Storage says.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/guarded.hpp"
#include "flow/ahead.hpp"
#include "staging/remote_link.hpp"
#include "staging/spool.hpp"
#include "storage/storage.hpp"

namespace icecore::staging {

class SpooledStorage final : public storage::Storage {
 public:
  // Asks the remote for its config once, and finds or makes the repository's spool below `staging_dir`. `url` is the
  // remote's. Fault::conflict: below this URL is another repository than the one the spool belongs to.
  // A remote that does not answer is only an error when nothing of it was staged before. `side_by_side`: it has more
  // than one connection from the start, so that the key slots, which whoever opens the repository asks for next, are
  // asked for beside the config. With one they would wait for another login.
  SpooledStorage(const std::string& url, RemoteLink::Opener remote, const std::filesystem::path& staging_dir,
                 std::uint64_t spool_bytes_max = 0, bool side_by_side = false);
  Spool& spool() noexcept { return *spool_; }
  RemoteLink& remote() noexcept { return link_; }
  // Why the remote cannot be asked now; empty when it answers.
  std::string trouble() const { return link_.trouble(); }

  // Throws Fault::conflict when the remote holds another repository than ours: asked once, and again after a doubt.
  void check_remote();
  void doubt_remote();
  // Fault::unavailable: the repository is not there now, as when a disk was unmounted since it was opened.
  void expect_mounted(storage::Storage& remote) const;

  // Whether a lock of ours was put on the remote, and not just done without.
  bool is_on_remote(const std::string& lock) const;

  // From now on this URL is where the spool's objects go. Fault::conflict: some wait for another.
  void claim_spool() { spool_->claim(url_); }
  // Stays readable without the remote, also when it leaves the spool.
  void cache_index(const std::string& name);

  // Called about every 100 ms while a put() waits for room in a full spool, from the thread that waits: may throw to
  // end the wait.
  void set_wait_hook(std::function<void()> hook);

  // All index objects this storage has ever listed: what was put by way of it relies on no others.
  std::set<std::string> indexes_seen() const;

  std::string url() const override { return url_; }
  using Storage::put;
  // Of a spooled object: durable here when it returns. Waits while the spool or its file system is full.
  void put(const std::string& name, std::span<const base::ByteView> parts) override;
  void replace(const std::string& name, base::ByteView bytes) override;
  base::Bytes get(const std::string& name, std::uint64_t size_max) override;
  base::Bytes get_range(const std::string& name, std::uint64_t offset, std::size_t length) override;
  bool exists(const std::string& name) override;
  // What came by way of the spool is there as long as its row is.
  std::vector<std::optional<std::uint64_t>> sizes_of(const std::vector<std::string>& names) override;
  std::vector<storage::ObjectInfo> list(const std::string& folder) override;
  // What is spooled is gone here, and will not be uploaded, also when the remote cannot be asked.
  void remove(const std::string& name) override;

 private:
  SpoolPlace find_place(const RemoteLink::Opener& remote, const std::filesystem::path& staging_dir, bool side_by_side);
  void check_config(const base::Bytes& config);
  void wait_for_room(std::uint64_t size);
  void wait_a_moment(const std::string& why, base::Stopwatch& since_upload);
  void put_in_spool(const std::string& name, std::span<const base::ByteView> parts);
  void write_object(const std::string& name, std::span<const base::ByteView> parts);
  void write_lock(const std::string& name, const std::function<void(storage::Storage&)>& write);
  template <typename Read>
  base::Bytes read(const std::string& name, Read&& action);
  base::Bytes get_index(const std::string& name, std::uint64_t size_max);
  void remember_indexes(const std::vector<storage::ObjectInfo>& objects);
  std::vector<storage::ObjectInfo> list_remote(const std::string& folder, std::set<std::string>& expected);
  std::vector<storage::ObjectInfo> list_keys(const std::string& folder);

  std::string url_;
  RemoteLink link_;
  std::optional<base::Bytes> config_;  // as the remote had it at the start
  base::Guarded<flow::Ahead<std::vector<storage::ObjectInfo>>> keys_ahead_;
  std::unique_ptr<Spool> spool_;
  std::string writer_;
  base::Guarded<bool> proven_{false};
  base::Guarded<base::Fd> writing_;                       // locked from the first object on
  base::Guarded<std::map<std::string, bool>> own_locks_;  // ours; true: on the remote
  base::Guarded<std::function<void()>> wait_hook_;
  mutable base::Guarded<std::set<std::string>> indexes_seen_;
};

// The spooled storage behind `storage`, or null when it is another kind.
inline SpooledStorage* spooled(storage::Storage& storage) { return dynamic_cast<SpooledStorage*>(&storage); }

}  // namespace icecore::staging
