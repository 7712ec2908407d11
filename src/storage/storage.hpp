// SPDX-License-Identifier: Apache-2.0
// The place that holds a repository's objects. An object is immutable: put() makes it appear whole or not
// at all, and nothing ever changes it. Names are relative paths of lower-case words ("packs/3f/3f2a...").
//
// Threads: every method may be called from several threads at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "storage/prepared_file.hpp"

namespace icecore::storage {

struct ObjectInfo {
  std::string name;
  std::uint64_t size = 0;
};

struct NamedFile {
  std::string name;  // of the object
  std::filesystem::path file;
};
// Gives the next file, or nothing when there is none now.
using NextFile = std::function<std::optional<NamedFile>()>;
// One is stored.
using FileStored = std::function<void(const std::string& name)>;

class Storage {
 public:
  virtual ~Storage() = default;

  // For messages and `--json`: never holds a secret.
  virtual std::string url() const = 0;

  // Stores the parts, one after another, as object `name`, durably: when put() returns the object survives
  // power loss. A name that exists already is kept as it is when its size is the same (immutable objects
  // named by content) and is Fault::conflict otherwise. On failure no object of that name appears.
  // Fault::no_space, denied, unavailable.
  virtual void put(const std::string& name, std::span<const base::ByteView> parts) = 0;
  void put(const std::string& name, base::ByteView bytes) { put(name, std::span(&bytes, 1)); }

  // The same with a file's bytes, which nobody changes meanwhile. Holds no more of them in memory than is under way,
  // where the storage can do that; here it holds them all.
  virtual void put_file(const std::string& name, const std::filesystem::path& file);

  // Stores files as put_file() does until next() gives none: one after another, but where the storage is far away the
  // bytes of the next are under way while the last becomes durable. stored() is called in the same order, with each
  // once it is durable. Ends with what keeps the first of them from being stored, or with what next() or stored()
  // throws: those before are stored then, it and at most one behind it are not. After StorageOptions::stop one whose
  // bytes were not under way may be left without that. While it runs it has one of the storage's connections: next()
  // and stored() do not use the storage, and do not wait.
  virtual void put_files(const NextFile& next, const FileStored& stored);

  // The first part of put_file(): where the storage is far away its bytes are sent and durable when this returns, and
  // only the name is missing; else all is done by store(). It may have one of the storage's connections until it goes,
  // and always leaves one to others. The storage outlives it, and the file stays.
  virtual std::unique_ptr<PreparedFile> prepare_file(const std::string& name, const std::filesystem::path& file);

  // Replaces or creates `name`, durably. Atomically where the place can do that; with an SFTP server that cannot, there
  // is no object for a moment, or until the next time when one dies in between. Only for what may be missed:
  // heartbeats.
  virtual void replace(const std::string& name, base::ByteView bytes) = 0;

  // The whole object, at most `size_max` bytes (more is Fault::corrupt). Missing is Fault::not_found. Bytes that the
  // disk there fails to read (EIO) are Fault::corrupt too: Fault::unavailable is a disk or server that is away.
  virtual base::Bytes get(const std::string& name, std::uint64_t size_max = 256 * base::k_mib) = 0;

  // `length` bytes at `offset`; an object that ends before is Fault::corrupt, missing is Fault::not_found.
  virtual base::Bytes get_range(const std::string& name, std::uint64_t offset, std::size_t length) = 0;

  virtual bool exists(const std::string& name) = 0;

  // Its size, or nothing when there is no such object. As it is here it lists the object's folder, or reads it at the
  // top.
  virtual std::optional<std::uint64_t> size_of(const std::string& name);
  // The same of several, in their order and looked at in that order: at once, where the storage can do that.
  virtual std::vector<std::optional<std::uint64_t>> sizes_of(const std::vector<std::string>& names);

  // All objects whose name starts with `folder` + "/", in no particular order. A missing folder is empty.
  // Half-written temporary objects are never listed.
  virtual std::vector<ObjectInfo> list(const std::string& folder) = 0;

  // What lies at the top of the place, files and folders, whoever made them; for `init`, which must not fill somebody's
  // folder. Nothing where only objects can be.
  virtual std::vector<std::string> entries() { return {}; }

  // Makes a connection more ready for who comes next, where there are connections and one more is allowed.
  virtual void connect_ahead() {}

  // Removing what is not there is no error: deletion is re-entered after a crash.
  virtual void remove(const std::string& name) = 0;

  // Removes the half-written objects below `folders` that writers left who died: those older by `age` than the newest
  // file below any of them. So the storage's own clock counts, right or wrong, and who still writes is left alone.
  // Returns how many.
  virtual std::size_t remove_leftovers(std::span<const std::string> folders, std::chrono::seconds age);

  // False where put() cannot promise that an object survives power loss (a server without fsync): who needs to be
  // sure reads it again.
  virtual bool durable_puts() const { return true; }
  // Changes when the other end may have died since: a connection was lost and made anew. Objects put before are only
  // as sure as the other end's disk is honest.
  virtual std::uint64_t generation() const { return 0; }
};

struct StorageOptions {
  bool create = false;               // makes the folder and its parents; else it must exist
  bool accept_new_host_key = false;  // sftp: an unknown host key is learned; a changed one never is
  // sftp: connections at most; each thread that stores or reads takes one. 0: sftp_connections().
  unsigned connections = 0;
  // sftp: connections made at once beside the first, for who will ask several things side by side.
  unsigned connected_ahead = 0;
  // sftp: once asked for, a server that does not answer at once is given up with Fault::cancelled. One that does is
  // served on: whoever ends has something to put away.
  std::stop_token stop = {};
};

// Opens the storage a URL names: a path, file:///path or sftp://[user@]host[:port]/path. Fault::not_found, denied,
// usage (unknown scheme); sftp also unavailable, cancelled, and conflict for a changed host key.
std::unique_ptr<Storage> open_storage(const std::string& url, const StorageOptions& options);
std::unique_ptr<Storage> open_storage(const std::string& url, bool create = false);

// How many connections are made to one server at most: ICECORE_SFTP_CONNECTIONS, or else 10 (an sshd of OpenSSH lets
// no more in at once that have not logged in, and some hosters no more in all). Fault::usage when it is no number.
unsigned sftp_connections();

// What helps against a fault of a storage.
enum class Remedy {
  retry,  // the network or the server is away: ask again soon
  wait,   // full, over quota, not permitted: nothing changes until somebody acts there
  none,   // asking again changes nothing
};
Remedy remedy_of(base::Fault fault) noexcept;

}  // namespace icecore::storage
