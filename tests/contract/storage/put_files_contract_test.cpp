// SPDX-License-Identifier: Apache-2.0
// Files one after another: which of them are stored, and who hears of them, whatever happens to one.
#include "contract/storage/storage_contract.hpp"
#include "rig/undo.hpp"

namespace icecore::storage {
namespace {

using base::Fault;
using Names = std::vector<std::string>;

class PutFilesContract : public StorageContract {
 protected:
  // Large ones are under way beside each other.
  void add(const std::string& name, std::size_t size = base::k_mib) {
    base::Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>((i >> 8) * 31 + files_.size());
    const std::filesystem::path file = folder_.path() / std::to_string(files_.size());
    base::write_durably(file, bytes);
    files_.push_back({name, file});
  }
  void put_all() {
    storage().put_files(
        [&]() -> std::optional<NamedFile> {
          if (taken_ == files_.size()) return std::nullopt;
          return files_[taken_++];
        },
        [&](const std::string& name) { stored_.push_back(name); });
  }
  void expect_there(std::size_t i) {
    EXPECT_EQ(storage().get(files_[i].name, 100 * base::k_mib), base::read_file(files_[i].file)) << files_[i].name;
  }

  const rig::TestFolder folder_;
  std::vector<NamedFile> files_;
  std::size_t taken_ = 0;
  Names stored_;
};

TEST_P(PutFilesContract, AllInOrder) {
  const std::vector<std::size_t> sizes = {base::k_mib, 0, 10 * base::k_mib + 1, 3, 9 * base::k_mib, 1, 2 * base::k_mib};
  Names all;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    all.push_back(fmt::format("packs/{:02x}/x", i % 3 == 0 ? 0 : i));
    if (i % 3 == 0) all.back() += std::to_string(i);
    add(all.back(), sizes[i]);
  }
  put_all();
  EXPECT_EQ(stored_, all);
  for (std::size_t i = 0; i < sizes.size(); ++i) expect_there(i);
  EXPECT_EQ(storage().list("packs").size(), all.size());
}

TEST_P(PutFilesContract, NoneAtAll) {
  put_all();
  EXPECT_TRUE(stored_.empty());
}

TEST_P(PutFilesContract, SameObjectIsKept) {
  for (const char* name : {"packs/a", "packs/b", "packs/c"}) add(name);
  storage().put_file("packs/b", files_[1].file);
  put_all();
  EXPECT_EQ(stored_, (Names{"packs/a", "packs/b", "packs/c"}));
  for (std::size_t i = 0; i < 3; ++i) expect_there(i);
}

// The first, one in the middle and the last of four.
TEST_P(PutFilesContract, AnotherObjectOfThatNameEndsIt) {
  for (const std::size_t bad : {0U, 1U, 3U}) {
    files_.clear();
    stored_.clear();
    taken_ = 0;
    for (std::size_t i = 0; i < 4; ++i) add(fmt::format("packs/{}{}", bad, i));
    storage().put(files_[bad].name, base::as_bytes("other"));
    EXPECT_EQ(fault_of([&] { put_all(); }), Fault::conflict);
    EXPECT_EQ(stored_.size(), bad);
    EXPECT_LE(taken_, bad + 2);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(storage().exists(files_[i].name), i <= bad) << i;
    EXPECT_EQ(storage().size_of(files_[bad].name), 5U);
  }
}

TEST_P(PutFilesContract, MissingFileEndsIt) {
  for (const char* name : {"packs/a", "packs/b", "packs/c"}) add(name);
  std::filesystem::remove(files_[1].file);
  EXPECT_EQ(fault_of([&] { put_all(); }), Fault::not_found);
  EXPECT_EQ(stored_, Names{"packs/a"});
  EXPECT_EQ(names("packs"), Names{"packs/a"});
}

TEST_P(PutFilesContract, WhatTheCallerThrowsEndsIt) {
  for (const char* name : {"packs/a", "packs/b", "packs/c"}) add(name, 10 * base::k_mib);
  const auto next = [&]() -> std::optional<NamedFile> {
    if (taken_ == 2) base::fail(Fault::busy, "no more");
    return files_[taken_++];
  };
  EXPECT_EQ(fault_of([&] { storage().put_files(next, [&](const std::string& name) { stored_.push_back(name); }); }),
            Fault::busy);
  EXPECT_GE(stored_.size(), 1U);
  EXPECT_EQ(names("packs"), stored_);
  taken_ = 0;
  const auto refuse = [](const std::string&) { base::fail(Fault::unavailable, "not noted"); };
  EXPECT_EQ(fault_of([&] { storage().put_files(next, refuse); }), Fault::unavailable);
  EXPECT_EQ(names("packs").size(), stored_.size());
}

INSTANTIATE_TEST_SUITE_P(All, PutFilesContract, testing::ValuesIn(k_kinds),
                         [](const auto& chosen) { return std::string(chosen.param.name); });

}  // namespace
}  // namespace icecore::storage
