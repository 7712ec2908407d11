// SPDX-License-Identifier: Apache-2.0
// The local copy of all index objects as an LMDB database: looked up from a memory map, nothing loaded at
// start. It is a cache: it holds only what durable index objects say, and whatever it answers is proved
// by the hash of the block read. Several icecore processes may share it.
//
// Threads: all methods may be called from several threads at once.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/handle.hpp"
#include "repository/crash_mark.hpp"
#include "repository/pack_reader.hpp"

struct MDB_env;

namespace icecore::repository {

struct BlockLocation {
  FrameLocation frame;
  std::uint32_t offset = 0;  // in the decoded frame
  std::uint32_t length = 0;
};

class IndexCache {
 public:
  // Opens or creates the database in `folder`; a damaged one, one of another version, or one whose last user
  // crashed, is thrown away first. LMDB forbids a process to open one database twice, so openers of one folder share
  // one object.
  static std::shared_ptr<IndexCache> open(const std::filesystem::path& folder);

  std::optional<BlockLocation> find(const BlockName& name) const;
  bool contains(const BlockName& name) const;

  // To be held by who brings in what the repository lists: one at a time, of all processes, so that nobody forgets what
  // another is just adding, or takes a part of it for all. Nothing when another one had its turn for so long (a
  // slow server): going on without one costs both of them work.
  std::optional<base::Fd> take_turn(base::Milliseconds patience = std::chrono::minutes(1)) const;
  // The index objects whose content is in here.
  std::set<std::string> loaded() const;
  // Those, and the ones of which a part may be: whoever added them was interrupted.
  std::set<std::string> begun() const;
  // Adds the packs of a durable index object. Interrupted, it has added a part; cleared meanwhile, it begins again.
  void add(const std::string& index_id, const std::vector<PackEntry>& packs);
  // Forgets everything.
  void clear();
  // Changes with every clear(), whichever process does it: while it is the same nothing was forgotten.
  std::string generation() const;

 private:
  struct CloseEnvironment {
    void operator()(MDB_env* environment) const noexcept;
  };
  using Environment = std::unique_ptr<MDB_env, CloseEnvironment>;

  explicit IndexCache(const std::filesystem::path& folder);
  void open_tables();

  void start_anew(std::string_view reason);
  std::set<std::string> list_indexes(bool whole_only) const;

  std::filesystem::path folder_;
  CrashMark mark_;  // ends after the environment
  Environment environment_;
  unsigned blocks_ = 0;        // block name -> location
  unsigned packs_ = 0;         // pack number -> pack id, kind
  unsigned pack_numbers_ = 0;  // pack id -> pack number
  unsigned indexes_ = 0;       // index id -> nothing, or k_begun
  unsigned facts_ = 0;         // "generation"
};

}  // namespace icecore::repository
