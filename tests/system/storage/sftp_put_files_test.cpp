// SPDX-License-Identifier: Apache-2.0
// Files stored one after another over one connection to a real server, and what goes wrong in the middle of that.
#include <gmock/gmock.h>
#include <sys/mount.h>

#include "system/storage/bad_network.hpp"

namespace icecore::storage {
namespace {

using base::Fault;
using testing::ElementsAre;
namespace fs = std::filesystem;

class SftpPutFilesTest : public FileOverBadNetworkTest {
 protected:
  // packs/ab/0, packs/ab/1, ...
  void put(
      std::size_t count, const std::function<void()>& on_stored = [] {}) {
    std::size_t taken = 0;
    storage_->put_files(
        [&]() -> std::optional<NamedFile> {
          if (taken == count) return std::nullopt;
          return NamedFile{name(taken++), file_};
        },
        [&](const std::string& name) {
          stored_.push_back(name);
          on_stored();
        });
  }
  static std::string name(std::size_t i) { return "packs/ab/" + std::to_string(i); }
  // Nothing else is there: what broken attempts left was cleaned up.
  void expect_stored(std::size_t count) {
    ASSERT_EQ(stored_.size(), count);
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_EQ(stored_[i], name(i));
      EXPECT_EQ(base::read_file(repository() / name(i)), object_);
    }
    EXPECT_EQ(files_there(), static_cast<int>(count));
  }
  // In the middle of the second.
  template <typename Break>
  void break_second(std::size_t count, Break&& break_it) {
    proxy_->set_rate(k_slow_rate);
    const std::uint64_t before = proxy_->bytes();
    std::jthread worker([&] { put(count); });
    EXPECT_TRUE(proxy_->wait_bytes(before + object_.size() * 4 / 3));
    break_it();
    proxy_->set_rate(0);
  }

  std::vector<std::string> stored_;
};

TEST_F(SftpPutFilesTest, OverOneConnection) {
  const int before = proxy_->connections();
  put(5);
  expect_stored(5);
  EXPECT_EQ(proxy_->connections(), before);
  EXPECT_EQ(storage_->generation(), 0U);
}

TEST_F(SftpPutFilesTest, ConnectionCutDuringTheSecond) {
  break_second(4, [&] { proxy_->cut(); });
  expect_stored(4);
  EXPECT_EQ(storage_->generation(), 1U);
}

TEST_F(SftpPutFilesTest, ServerKilledAndStartedAgainDuringTheSecond) {
  break_second(3, [&] {
    server_->kill();
    server_->start();
  });
  expect_stored(3);
}

TEST_F(SftpPutFilesTest, NetworkSwallowsEverythingForAWhileDuringTheSecond) {
  break_second(3, [&] {
    proxy_->set_black_hole(true);
    std::this_thread::sleep_for(impatient().deadlines.silence * 2);
    proxy_->set_black_hole(false);
  });
  expect_stored(3);
}

// Each time long enough after the last that the patience for one such time were over.
TEST_F(SftpPutFilesTest, PatienceBeginsAnewWithEachThatIsStored) {
  SftpSettings settings = impatient();
  settings.backoff = {base::Milliseconds(50), base::Milliseconds(100), base::Milliseconds(1'000)};
  storage_ = open(settings);
  put(4, [&] {
    std::this_thread::sleep_for(base::Milliseconds(600));
    proxy_->cut();
  });
  expect_stored(4);
}

TEST_F(SftpPutFilesTest, FileSystemFullAtTheSecond) {
  storage_.reset();
  ASSERT_EQ(::mount("tmpfs", repository().c_str(), "tmpfs", 0, "size=12m"), 0);
  storage_ = open();
  EXPECT_EQ(refusal_of([&] { put(4); }).first, Fault::no_space);
  expect_stored(1);
  storage_->remove(name(0));
  storage_->put_file(name(7), file_);  // the connection is good for more
  EXPECT_EQ(files_there(), 1);
  EXPECT_EQ(storage_->generation(), 0U);
}

TEST_F(SftpPutFilesTest, FolderTakenAwayInTheMiddleIsMadeAgain) {
  bool taken_away = false;
  put(4, [&] {
    if (!std::exchange(taken_away, true)) fs::remove_all(repository() / "packs");
  });
  EXPECT_THAT(stored_, ElementsAre(name(0), name(1), name(2), name(3)));
  EXPECT_EQ(files_there(), 3);  // the first went with its folder
  EXPECT_EQ(storage_->generation(), 0U);
}

TEST_F(SftpPutFilesTest, RootThatWentAwayIsNotMadeAgain) {
  const fs::path away = repository().string() + "-away";
  const auto [fault, text] = refusal_of([&] {
    put(4, [&] {
      if (fs::exists(repository())) fs::rename(repository(), away);
    });
  });
  EXPECT_EQ(fault, Fault::unavailable) << text;
  EXPECT_FALSE(fs::exists(repository()));
  EXPECT_THAT(stored_, ElementsAre(name(0)));
}

}  // namespace
}  // namespace icecore::storage
