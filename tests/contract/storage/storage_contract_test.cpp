// SPDX-License-Identifier: Apache-2.0
// What every storage must do, run over each of them. A new storage joins by one more factory.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/durable_file.hpp"
#include "base/id.hpp"
#include "contract/storage/memory_storage.hpp"
#include "storage/local_folder.hpp"

namespace icecore::storage {
namespace {

using base::Fault;

// A storage and whatever it needs, gone with the object.
struct Subject {
  std::filesystem::path folder;
  std::unique_ptr<Storage> storage;
  Subject() = default;
  Subject(Subject&&) = default;
  ~Subject() {
    storage.reset();
    if (!folder.empty()) std::filesystem::remove_all(folder);
  }
};

Subject make_local() {
  Subject subject;
  subject.folder = std::filesystem::temp_directory_path() / ("icecore-test-" + base::random_id(6));
  base::create_folders(subject.folder);
  subject.storage = std::make_unique<LocalFolder>(subject.folder);
  return subject;
}

Subject make_memory() {
  Subject subject;
  subject.storage = std::make_unique<contract::MemoryStorage>();
  return subject;
}

struct Kind {
  const char* name;
  Subject (*make)();
};

class StorageContract : public testing::TestWithParam<Kind> {
 protected:
  Subject subject_ = GetParam().make();
  Storage& storage_ = *subject_.storage;

  template <typename Action>
  static Fault fault_of(Action&& action) {
    try {
      action();
    } catch (const base::Error& error) {
      return error.fault();
    }
    ADD_FAILURE() << "nothing was thrown";
    return Fault::internal;
  }
  std::vector<std::string> names(const std::string& folder) {
    std::vector<std::string> found;
    for (const ObjectInfo& object : storage_.list(folder)) found.push_back(object.name);
    std::sort(found.begin(), found.end());
    return found;
  }
};

TEST_P(StorageContract, PartsComeBackAsOne) {
  const std::array<base::ByteView, 3> parts = {base::as_bytes("one"), base::as_bytes(""), base::as_bytes("two")};
  storage_.put("packs/ab/x", parts);
  EXPECT_EQ(base::to_string(storage_.get("packs/ab/x", 100)), "onetwo");
  EXPECT_EQ(base::to_string(storage_.get_range("packs/ab/x", 2, 3)), "etw");
  EXPECT_EQ(storage_.get_range("packs/ab/x", 6, 0).size(), 0U);
}

TEST_P(StorageContract, SizeWithoutReading) {
  storage_.put("packs/ab/x", base::as_bytes("12345"));
  EXPECT_EQ(storage_.size_of("packs/ab/x"), 5U);
  EXPECT_EQ(storage_.size_of("packs/ab/y"), std::nullopt);
  EXPECT_EQ(storage_.size_of("packs/cd/x"), std::nullopt);
}

TEST_P(StorageContract, EmptyObject) {
  storage_.put("index/a", base::ByteView{});
  EXPECT_TRUE(storage_.exists("index/a"));
  EXPECT_TRUE(storage_.get("index/a", 100).empty());
}

TEST_P(StorageContract, LargeObject) {
  base::Bytes large(5 * base::k_mib + 3);
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<std::byte>(i * 31 >> 8);
  storage_.put("packs/ab/large", large);
  EXPECT_EQ(storage_.get("packs/ab/large", 100 * base::k_mib), large);
}

TEST_P(StorageContract, ReadingBehindTheEndIsCorrupt) {
  storage_.put("a/b", base::as_bytes("12345"));
  EXPECT_EQ(fault_of([&] { storage_.get_range("a/b", 3, 3); }), Fault::corrupt);
  EXPECT_EQ(fault_of([&] { storage_.get_range("a/b", 100, 1); }), Fault::corrupt);
  EXPECT_EQ(fault_of([&] { storage_.get("a/b", 4); }), Fault::corrupt);
}

TEST_P(StorageContract, MissingIsNotFound) {
  EXPECT_FALSE(storage_.exists("a/b"));
  EXPECT_EQ(fault_of([&] { storage_.get("a/b", 10); }), Fault::not_found);
  EXPECT_EQ(fault_of([&] { storage_.get_range("a/b", 0, 1); }), Fault::not_found);
  storage_.remove("a/b");
  EXPECT_TRUE(names("a").empty());
}

TEST_P(StorageContract, SameObjectAgainIsKeptAnotherIsAConflict) {
  storage_.put("a/b", base::as_bytes("first"));
  storage_.put("a/b", base::as_bytes("first"));
  EXPECT_EQ(fault_of([&] { storage_.put("a/b", base::as_bytes("longer")); }), Fault::conflict);
  EXPECT_EQ(base::to_string(storage_.get("a/b", 100)), "first");
}

TEST_P(StorageContract, ReplaceReplaces) {
  storage_.replace("locks/a", base::as_bytes("one"));
  storage_.replace("locks/a", base::as_bytes("another"));
  EXPECT_EQ(base::to_string(storage_.get("locks/a", 100)), "another");
}

TEST_P(StorageContract, ListsOneFolderWithItsSubfolders) {
  storage_.put("packs/ab/one", base::as_bytes("1"));
  storage_.put("packs/cd/two", base::as_bytes("22"));
  storage_.put("packsother", base::as_bytes("3"));
  storage_.put("index/three", base::as_bytes("4"));
  EXPECT_EQ(names("packs"), (std::vector<std::string>{"packs/ab/one", "packs/cd/two"}));
  EXPECT_EQ(names("packs/cd"), (std::vector<std::string>{"packs/cd/two"}));
  EXPECT_EQ(storage_.list("packs/cd").at(0).size, 2U);
  EXPECT_TRUE(names("none").empty());
}

TEST_P(StorageContract, RemovedIsGone) {
  storage_.put("a/b", base::as_bytes("1"));
  storage_.remove("a/b");
  EXPECT_FALSE(storage_.exists("a/b"));
  storage_.put("a/b", base::as_bytes("other"));
  EXPECT_EQ(base::to_string(storage_.get("a/b", 100)), "other");
}

INSTANTIATE_TEST_SUITE_P(All, StorageContract,
                         testing::Values(Kind{"Local", &make_local}, Kind{"Memory", &make_memory}),
                         [](const auto& chosen) { return std::string(chosen.param.name); });

// Only a folder can be looked into from outside.
TEST(LocalFolderTest, HalfWrittenObjectsAreNotListed) {
  Subject subject = make_local();
  subject.storage->put("a/b", base::as_bytes("1"));
  base::write_durably(subject.folder / "a" / "c.tmp-1234", base::as_bytes("half"));
  EXPECT_EQ(subject.storage->list("a").size(), 1U);
}

TEST(LocalFolderTest, MissingFolderIsNotFound) { EXPECT_THROW(LocalFolder("/nonexistent/folder"), base::Error); }

}  // namespace
}  // namespace icecore::storage
