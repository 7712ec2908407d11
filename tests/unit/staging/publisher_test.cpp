// SPDX-License-Identifier: Apache-2.0
// A manifest is the last to come, and only under a lock; what is wrong with the world costs no point.
#include "unit/staging/fixture.hpp"

namespace icecore::staging {
namespace {

using base::Fault;
using repository::expect_fault;

class PublisherTest : public SpoolFixture {
 protected:
  void SetUp() override {
    SpoolFixture::SetUp();
    process_ = open();
  }
  static UploadOptions impatient() {
    UploadOptions options = fast();
    options.stall_max = base::Milliseconds(200);
    return options;
  }
  // As a person does who takes them for left behind.
  void remove_locks() {
    for (const std::string& lock : names_of("locks")) remote_.objects.remove(lock);
  }
  void expect_published_at_last(const std::string& point, const std::vector<std::uint64_t>& content) {
    EXPECT_TRUE(is_pending(process_.storage->spool(), point));
    EXPECT_EQ(upload(process_).published, std::vector<std::string>{point});
    EXPECT_EQ(read_point(*open_remote(), point), make_image(content));
  }

  Process process_;
};

TEST_F(PublisherTest, StrangeFileAmongTheLocksEndsTheUploadAndCostsNoPoint) {
  const std::string point = back_up(process_, seeds(1, 8));
  remote_.objects.put("locks/junk", base::as_bytes(""));
  EXPECT_THROW(upload(process_, impatient()), base::Error);
  EXPECT_TRUE(names_of("manifests").empty());
  remote_.objects.remove("locks/junk");
  expect_published_at_last(point, seeds(1, 8));
}

TEST_F(PublisherTest, ConflictThatIsNotThePointsOwnCostsNoPoint) {
  const std::string point = back_up(process_, seeds(1, 8));
  remote_.fail_puts("manifests", Fault::conflict);  // such as a changed host key
  expect_fault(Fault::conflict, "", [&] { upload(process_, impatient()); });
  remote_.fail_puts("", std::nullopt);
  expect_published_at_last(point, seeds(1, 8));
}

TEST_F(PublisherTest, NothingIsPublishedWithoutTheLock) {
  const std::string point = back_up(process_, seeds(1, 8));
  for (const Fault fault : {Fault::denied, Fault::no_space, Fault::unavailable}) {
    remote_.fail_puts("locks", fault);
    EXPECT_THROW(upload(process_, impatient()), base::Error);
    EXPECT_TRUE(names_of("manifests").empty());
  }
  remote_.fail_puts("", std::nullopt);
  expect_published_at_last(point, seeds(1, 8));
}

TEST_F(PublisherTest, LockTakenFromUsHoldsTheManifestBack) {
  const std::string point = back_up(process_, seeds(1, 8));
  remote_.before_look([&] { remove_locks(); });
  expect_fault(Fault::busy, "lock", [&] { upload(process_, impatient()); });
  EXPECT_TRUE(names_of("manifests").empty());
  remote_.before_look({});
  expect_published_at_last(point, seeds(1, 8));
}

TEST_F(PublisherTest, LockTakenFromUsIsTakenAgain) {
  const std::string point = back_up(process_, seeds(1, 8));
  bool removed = false;
  remote_.before_look([&] {
    if (!std::exchange(removed, true)) remove_locks();
  });
  expect_published_at_last(point, seeds(1, 8));
  EXPECT_TRUE(removed);
}

TEST_F(PublisherTest, LockTakenFromUsBesideTheManifestIsTakenAgain) {
  const std::string point = back_up(process_, seeds(1, 8));
  std::size_t taken = 0;
  bool removed = false;
  remote_.before_put([&](const std::string& name) {
    taken += name.starts_with("locks/") ? 1 : 0;
    if (name == point && !std::exchange(removed, true)) remove_locks();
  });
  expect_published_at_last(point, seeds(1, 8));
  EXPECT_EQ(taken, 3U) << "one lost, one for the look at the blocks, one for the rest";
}

TEST_F(PublisherTest, LockIsTakenWhileThePacksAreUnderWay) {
  const std::string point = back_up(process_, seeds(1, 8));
  bool locked = false;
  remote_.before_put([&](const std::string& name) {
    if (name.starts_with("packs/")) locked = comes_true([&] { return !names_of("locks").empty(); });
  });
  expect_published_at_last(point, seeds(1, 8));
  EXPECT_TRUE(locked);
  EXPECT_TRUE(names_of("locks").empty());
}

// Between the last pack and the point there are the index's name, a look, the manifest's, a look, and the lock's end.
TEST_F(PublisherTest, FewQuestionsAfterTheLastPack) {
  const std::string point = back_up(process_, seeds(1, 8));
  std::uint64_t calls = 0;
  remote_.before_put([&](const std::string& name) {
    if (name.starts_with("packs/")) comes_true([&] { return remote_.prepared().size() == 2; });
    if (name.starts_with("index/")) calls = remote_.calls();
  });
  expect_published_at_last(point, seeds(1, 8));
  EXPECT_LE(remote_.calls() - calls, 4U);
  const std::vector<std::string> prepared = remote_.prepared();
  EXPECT_EQ(std::set<std::string>(prepared.begin(), prepared.end()), (std::set{names_of("index").front(), point}));
}

TEST_F(PublisherTest, WhatWasPreparedAndIsRefusedNeverShows) {
  const std::string point = back_up(process_, seeds(1, 8));
  remote_.before_put([&](const std::string& name) {
    if (!name.starts_with("packs/")) return;
    EXPECT_TRUE(comes_true([&] { return remote_.prepared().size() == 2; }));
    std::filesystem::resize_file(process_.storage->spool().objects().file_of(point), 10);
  });
  EXPECT_EQ(upload(process_).refused.size(), 1U);
  EXPECT_TRUE(names_of("manifests").empty());
}

// Until it is known that no prune came in between.
TEST_F(PublisherTest, PointIsNotPublishedBeforeTheSecondLook) {
  const std::string point = back_up(process_, seeds(1, 8));
  int looks = 0;
  remote_.before_look([&] {
    if (++looks == 2) base::fail(Fault::denied, "nothing can be looked at now");
  });
  expect_published_at_last(point, seeds(1, 8));
  EXPECT_GT(looks, 3);
}

struct Wreck {
  const char* name;
  std::size_t keep;
  bool short_file;
};

// The remote lost power after the manifest came, and before we knew.
class ManifestWreck : public PublisherTest, public testing::WithParamInterface<Wreck> {};

TEST_P(ManifestWreck, IsReplaced) {
  const std::string point = back_up(process_, seeds(1, 8));
  const base::Bytes bytes = process_.storage->get(point, base::k_mib);
  base::Bytes wreck(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(GetParam().keep));
  if (!GetParam().short_file) wreck.resize(bytes.size());
  remote_.objects.put(point, wreck);
  expect_published_at_last(point, seeds(1, 8));
}

INSTANTIATE_TEST_SUITE_P(All, ManifestWreck,
                         testing::Values(Wreck{"empty", 0, true}, Wreck{"truncated", 40, true},
                                         Wreck{"zeroed", 0, false}),
                         [](const auto& wreck) { return std::string(wreck.param.name); });

TEST_F(PublisherTest, UnmountedDiskIsWaitedFor) {
  const std::string point = back_up(process_, seeds(1, 64));
  base::Guarded<bool> gone(false);
  std::map<std::string, base::Bytes> disk;
  const auto unmount = [&](const std::string& name) {
    if (!name.starts_with("index") || gone.with([](bool& done) { return std::exchange(done, true); })) return;
    disk["config"] = remote_.objects.get("config", base::k_mib);
    for (const char* folder : {"keys", "packs"}) {
      for (const std::string& file : names_of(folder)) disk[file] = remote_.objects.get(file, base::k_mib);
    }
    remote_.objects.clear();
  };
  remote_.before_put(unmount);
  expect_fault(Fault::unavailable, "is not in", [&] { upload(process_, impatient()); });
  EXPECT_TRUE(names_of("manifests").empty()) << "published into the empty mount point";
  remote_.before_put({});
  remote_.objects.clear();
  for (const auto& [name, bytes] : disk) remote_.objects.put(name, bytes);
  expect_published_at_last(point, seeds(1, 64));
}

TEST_F(PublisherTest, ManifestsWaitForNoRate) {
  const std::string point = back_up(process_, {});
  UploadOptions options = fast();
  options.limit = parse_upload_limit("1");
  EXPECT_EQ(upload(process_, options).published, std::vector<std::string>{point});
}

TEST_F(PublisherTest, PointsWaitForOneUrlOnly) {
  const std::string point = back_up(process_, seeds(1, 8));
  process_ = {};
  const auto replica = std::make_unique<SpooledStorage>(
      "replica", [this] { return std::make_unique<contract::MoodyStorage>(remote_); }, staging());
  repository::Repository repository(*replica, key(), folder_ / "cache");
  expect_fault(Fault::conflict, "memory", [&] { Uploader(*replica, repository, fast(), {}, {}); });
  expect_fault(Fault::conflict, "memory", [&] { replica->put("packs/aa/one", base::Bytes(10)); });
  EXPECT_FALSE(repository::list_manifest_objects(repository).empty()) << "reading does no harm";
  process_ = open();
  expect_published_at_last(point, seeds(1, 8));
}

}  // namespace
}  // namespace icecore::staging
