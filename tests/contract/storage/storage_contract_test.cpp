// SPDX-License-Identifier: Apache-2.0
// What every storage must do, run over each of them. A new storage joins by one more factory.
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <thread>

#include "base/durable_file.hpp"
#include "base/id.hpp"
#include "contract/storage/storage_contract.hpp"
#include "repository/repository.hpp"
#include "rig/requirements.hpp"
#include "rig/ssh_server.hpp"
#include "rig/undo.hpp"
#include "staging/spooled_storage.hpp"
#include "storage/local_folder.hpp"

namespace icecore::storage {
namespace {

using base::Fault;

TEST_P(StorageContract, PartsComeBackAsOne) {
  const std::array<base::ByteView, 3> parts = {base::as_bytes("one"), base::as_bytes(""), base::as_bytes("two")};
  storage().put("packs/ab/x", parts);
  EXPECT_EQ(base::to_string(storage().get("packs/ab/x", 100)), "onetwo");
  EXPECT_EQ(base::to_string(storage().get_range("packs/ab/x", 2, 3)), "etw");
  EXPECT_EQ(storage().get_range("packs/ab/x", 6, 0).size(), 0U);
}

TEST_P(StorageContract, SizeWithoutReading) {
  storage().put("packs/ab/x", base::as_bytes("12345"));
  EXPECT_EQ(storage().size_of("packs/ab/x"), 5U);
  EXPECT_EQ(storage().size_of("packs/ab/y"), std::nullopt);
  EXPECT_EQ(storage().size_of("packs/cd/x"), std::nullopt);
  EXPECT_EQ(storage().size_of("alone"), std::nullopt);
  storage().put("alone", base::as_bytes("123"));
  EXPECT_EQ(storage().size_of("alone"), 3U);
}

TEST_P(StorageContract, SizesOfMany) {
  std::vector<std::string> names;
  std::vector<std::optional<std::uint64_t>> sizes;
  for (std::size_t i = 0; i < 600; ++i) {
    names.push_back(fmt::format("packs/ab/{}", i));
    sizes.push_back(i % 100 == 7 ? std::optional(i) : std::nullopt);
    if (sizes.back()) storage().put(names.back(), base::Bytes(i));
  }
  EXPECT_EQ(storage().sizes_of(names), sizes);
  EXPECT_TRUE(storage().sizes_of({}).empty());
}

TEST_P(StorageContract, AConnectionAheadChangesNothing) {
  storage().connect_ahead();
  storage().put("packs/ab/x", base::as_bytes("12345"));
  EXPECT_EQ(storage().size_of("packs/ab/x"), 5U);
}

TEST_P(StorageContract, EmptyObject) {
  storage().put("index/a", base::ByteView{});
  EXPECT_TRUE(storage().exists("index/a"));
  EXPECT_TRUE(storage().get("index/a", 100).empty());
}

base::Bytes large_bytes() {
  base::Bytes large(5 * base::k_mib + 3);
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<std::byte>(i * 31 >> 8);
  return large;
}

TEST_P(StorageContract, LargeObject) {
  storage().put("packs/ab/large", large_bytes());
  EXPECT_EQ(storage().get("packs/ab/large", 100 * base::k_mib), large_bytes());
}

TEST_P(StorageContract, FileBecomesAnObject) {
  const rig::TestFolder test;
  const std::filesystem::path& folder = test.path();
  base::write_durably(folder / "large", large_bytes());
  base::write_durably(folder / "empty", base::ByteView{});
  storage().put_file("packs/ab/large", folder / "large");
  storage().put_file("packs/ab/empty", folder / "empty");
  EXPECT_EQ(storage().get("packs/ab/large", 100 * base::k_mib), large_bytes());
  EXPECT_EQ(storage().size_of("packs/ab/empty"), 0U);
  storage().put_file("packs/ab/large", folder / "large");
  EXPECT_EQ(fault_of([&] { storage().put_file("packs/ab/large", folder / "empty"); }), Fault::conflict);
  EXPECT_EQ(fault_of([&] { storage().put_file("packs/ab/none", folder / "none"); }), Fault::not_found);
  EXPECT_FALSE(storage().exists("packs/ab/none"));
}

TEST_P(StorageContract, ReadingBehindTheEndIsCorrupt) {
  storage().put("a/b", base::as_bytes("12345"));
  EXPECT_EQ(fault_of([&] { storage().get_range("a/b", 3, 3); }), Fault::corrupt);
  EXPECT_EQ(fault_of([&] { storage().get_range("a/b", 100, 1); }), Fault::corrupt);
  EXPECT_EQ(fault_of([&] { storage().get("a/b", 4); }), Fault::corrupt);
}

TEST_P(StorageContract, MissingIsNotFound) {
  EXPECT_FALSE(storage().exists("a/b"));
  EXPECT_EQ(fault_of([&] { storage().get("a/b", 10); }), Fault::not_found);
  EXPECT_EQ(fault_of([&] { storage().get_range("a/b", 0, 1); }), Fault::not_found);
  storage().remove("a/b");
  EXPECT_TRUE(names("a").empty());
}

TEST_P(StorageContract, SameObjectAgainIsKeptAnotherIsAConflict) {
  storage().put("a/b", base::as_bytes("first"));
  storage().put("a/b", base::as_bytes("first"));
  EXPECT_EQ(fault_of([&] { storage().put("a/b", base::as_bytes("longer")); }), Fault::conflict);
  EXPECT_EQ(base::to_string(storage().get("a/b", 100)), "first");
}

TEST_P(StorageContract, ReplaceReplaces) {
  storage().replace("locks/a", base::as_bytes("one"));
  storage().replace("locks/a", base::as_bytes("another"));
  EXPECT_EQ(base::to_string(storage().get("locks/a", 100)), "another");
}

TEST_P(StorageContract, ListsOneFolderWithItsSubfolders) {
  storage().put("packs/ab/one", base::as_bytes("1"));
  storage().put("packs/cd/two", base::as_bytes("22"));
  storage().put("packsother", base::as_bytes("3"));
  storage().put("index/three", base::as_bytes("4"));
  EXPECT_EQ(names("packs"), (std::vector<std::string>{"packs/ab/one", "packs/cd/two"}));
  EXPECT_EQ(names("packs/cd"), (std::vector<std::string>{"packs/cd/two"}));
  EXPECT_EQ(storage().list("packs/cd").at(0).size, 2U);
  EXPECT_TRUE(names("none").empty());
}

TEST_P(StorageContract, ManyObjectsFromManyThreads) {
  constexpr int k_threads = 6;
  constexpr int k_objects = 8;
  const auto name = [](int thread, int object) { return fmt::format("packs/{:02}/{}", object, thread); };
  std::vector<std::thread> threads;
  for (int thread = 0; thread < k_threads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int object = 0; object < k_objects; ++object) {
        const std::string text(static_cast<std::size_t>(100'000 * object + thread), static_cast<char>('a' + thread));
        storage().put(name(thread, object), base::as_bytes(text));
        EXPECT_EQ(base::to_string(storage().get(name(thread, object), base::k_mib)), text);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(storage().list("packs").size(), static_cast<std::size_t>(k_threads * k_objects));
}

TEST_P(StorageContract, SameObjectFromManyThreadsIsStoredOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { storage().put("packs/ab/same", base::as_bytes("the same bytes")); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(names("packs"), std::vector<std::string>{"packs/ab/same"});
}

TEST_P(StorageContract, ListsMoreThanOneAnswerHolds) {
  for (int i = 0; i < 300; ++i) storage().put(fmt::format("manifests/a/{}", i), base::as_bytes("x"));
  EXPECT_EQ(storage().list("manifests").size(), 300U);
}

// What goes while it is being listed is in the list or not, and no failure.
TEST_P(StorageContract, ListsBesideRemovals) {
  constexpr int k_rounds = 200;
  storage().put("locks/stays", base::as_bytes("1"));
  std::jthread other([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      for (const char* name : {"locks/a", "locks/b", "locks/c", "locks/d"}) storage().put(name, base::as_bytes("1"));
      for (const char* name : {"locks/a", "locks/b", "locks/c", "locks/d"}) storage().remove(name);
    }
  });
  for (int round = 0; round < k_rounds; ++round) {
    const std::vector<ObjectInfo> objects = storage().list("locks");
    EXPECT_TRUE(std::any_of(objects.begin(), objects.end(), [](const auto& o) { return o.name == "locks/stays"; }));
  }
}

TEST_P(StorageContract, RemovedIsGone) {
  storage().put("a/b", base::as_bytes("1"));
  storage().remove("a/b");
  EXPECT_FALSE(storage().exists("a/b"));
  storage().put("a/b", base::as_bytes("other"));
  EXPECT_EQ(base::to_string(storage().get("a/b", 100)), "other");
}

// What `init` looks at before it fills a folder.
TEST_P(StorageContract, EntriesAreWhatLiesAtTheTop) {
  EXPECT_TRUE(storage().entries().empty());
  storage().put("a/b", base::as_bytes("1"));
  storage().put("a/c/d", base::as_bytes("1"));
  storage().put("e", base::as_bytes("1"));
  std::vector<std::string> entries = storage().entries();
  std::sort(entries.begin(), entries.end());
  const std::vector<std::string> all = {"a", "e"};
  const bool has_place = !files().empty();  // the others are never filled by `init`
  EXPECT_EQ(entries, has_place ? all : std::vector<std::string>());
}

// By the storage's own clock, which says 1970 or 2100.
TEST_P(StorageContract, OldLeftoversGo) {
  if (files().empty()) return;  // its objects are no files
  storage().put("packs/ab/x", base::as_bytes("1"));
  const auto newest = std::filesystem::last_write_time(files() / "packs/ab/x") - std::chrono::hours(24 * 365 * 20);
  const auto add = [&](const std::string& name, std::chrono::hours age) {
    if (name != "packs/ab/x") base::write_durably(files() / name, base::as_bytes("half"));
    std::filesystem::last_write_time(files() / name, newest - age);
  };
  add("packs/ab/x", std::chrono::hours(0));
  add("packs/ab/y.tmp-0123456789abcdef", std::chrono::hours(25));
  add("packs/ab/z.tmp-0123456789abcdef", std::chrono::hours(23));
  add("packs/ab/note.tmp-of mine", std::chrono::hours(25));
  add("packs/ab/old", std::chrono::hours(25));
  storage().put("damage/x", base::as_bytes("1"));
  storage().remove("damage/x");
  add("damage/only.tmp-0123456789abcdef", std::chrono::hours(25));
  const std::vector<std::string> elsewhere = {"index", "damage"};
  EXPECT_EQ(storage().remove_leftovers(elsewhere, std::chrono::hours(24)), 0U) << "the newest there";
  const std::vector<std::string> folders = {"damage", "index", "packs"};
  EXPECT_EQ(storage().remove_leftovers(folders, std::chrono::hours(24)), 2U);
  EXPECT_FALSE(std::filesystem::exists(files() / "damage/only.tmp-0123456789abcdef"));
  EXPECT_FALSE(std::filesystem::exists(files() / "packs/ab/y.tmp-0123456789abcdef"));
  EXPECT_TRUE(std::filesystem::exists(files() / "packs/ab/z.tmp-0123456789abcdef"));
  EXPECT_TRUE(std::filesystem::exists(files() / "packs/ab/note.tmp-of mine"));
  EXPECT_TRUE(storage().exists("packs/ab/old"));
}

INSTANTIATE_TEST_SUITE_P(All, StorageContract, testing::ValuesIn(k_kinds),
                         [](const auto& chosen) { return std::string(chosen.param.name); });

// Only a folder can be looked into from outside.
TEST(LocalFolderTest, HalfWrittenObjectsAreNotListed) {
  Subject subject = make_local();
  subject.storage->put("a/b", base::as_bytes("1"));
  base::write_durably(subject.folder / "a" / "c.tmp-1234", base::as_bytes("half"));
  EXPECT_EQ(subject.storage->list("a").size(), 1U);
}

// /proc/self/mem answers EIO where nothing is.
TEST(LocalFolderTest, WhatTheDiskFailsToReadIsCorrupt) {
  Subject subject = make_local();
  std::filesystem::create_symlink("/proc/self/mem", subject.folder / "bad");
  try {
    subject.storage->get_range("bad", 0, 10);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), Fault::corrupt) << error.what();
  }
}

// An inode that cannot be read: a prune that passed over a restore point would take what it needs.
TEST(LocalFolderTest, WhatCannotBeLookedAtIsNotMissing) {
  Subject subject = make_local();
  subject.storage->put("manifests/a/b", base::as_bytes("1"));
  std::filesystem::create_symlink("loop", subject.folder / "manifests/a/loop");
  const auto expect_named = [](auto&& action) {
    try {
      action();
      ADD_FAILURE() << "nothing was thrown";
    } catch (const base::Error& error) {
      EXPECT_NE(std::string_view(error.what()).find("manifests/a/loop"), std::string_view::npos) << error.what();
    }
  };
  expect_named([&] { subject.storage->list("manifests"); });
  expect_named([&] { subject.storage->size_of("manifests/a/loop"); });
  expect_named([&] { subject.storage->exists("manifests/a/loop"); });
  expect_named([&] { subject.storage->put("manifests/a/loop", base::as_bytes("1")); });
}

void expect_unavailable(Storage& storage) {
  const auto fault_of = [](auto&& action) {
    try {
      action();
    } catch (const base::Error& error) {
      return error.fault();
    }
    return Fault::internal;
  };
  EXPECT_EQ(fault_of([&] { storage.put("a/b", base::as_bytes("1")); }), Fault::unavailable);
  EXPECT_EQ(fault_of([&] { storage.replace("a/b", base::as_bytes("1")); }), Fault::unavailable);
  EXPECT_EQ(fault_of([&] { storage.get("a/b", 10); }), Fault::unavailable);
  EXPECT_EQ(fault_of([&] { storage.list("a"); }), Fault::unavailable);
  EXPECT_EQ(fault_of([&] { storage.exists("a/b"); }), Fault::unavailable);
  EXPECT_EQ(fault_of([&] { storage.remove("a/b"); }), Fault::unavailable);
}

TEST(LocalFolderTest, AFolderThatWentAwayIsNotMadeAgain) {
  Subject subject = make_local();
  subject.storage->put("a/b", base::as_bytes("1"));
  std::filesystem::rename(subject.folder, subject.folder.string() + "-away");
  expect_unavailable(*subject.storage);
  EXPECT_FALSE(std::filesystem::exists(subject.folder));
  std::filesystem::rename(subject.folder.string() + "-away", subject.folder);
  EXPECT_EQ(base::to_string(subject.storage->get("a/b", 10)), "1");
}

TEST(LocalFolderTest, AnUnmountedDiskIsNotWrittenBelowItsMountPoint) {
  ICECORE_NEEDS("root");
  rig::TestFolder test;
  const std::filesystem::path folder = test.path() / "disk";
  std::filesystem::create_directory(folder);
  ASSERT_EQ(::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=1m"), 0);
  LocalFolder storage(folder);
  storage.put("a/b", base::as_bytes("1"));
  ASSERT_EQ(::umount(folder.c_str()), 0);
  expect_unavailable(storage);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  ASSERT_EQ(::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=1m"), 0);
  storage.put("a/b", base::as_bytes("1"));
}

TEST(LocalFolderTest, MissingFolderIsNotFound) { EXPECT_THROW(LocalFolder("/nonexistent/folder"), base::Error); }

}  // namespace
}  // namespace icecore::storage
