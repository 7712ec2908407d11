// SPDX-License-Identifier: Apache-2.0
// A file whose bytes are at a real server while its name waits, and what happens there meanwhile.
#include "system/storage/bad_network.hpp"

namespace icecore::storage {
namespace {

class SftpPrepareFileTest : public FileOverBadNetworkTest {
 protected:
  void SetUp() override {
    FileOverBadNetworkTest::SetUp();
    prepared_ = storage_->prepare_file("index/x", file_);
    ASSERT_EQ(files_there(), 1) << "under another name";
  }
  void expect_stored_alone() {
    EXPECT_EQ(base::read_file(repository() / "index/x"), object_);
    EXPECT_EQ(files_there(), 1);
  }

  std::unique_ptr<PreparedFile> prepared_;  // ends before the storage
};

TEST_F(SftpPrepareFileTest, OnlyItsNameIsSentInTheEnd) {
  const std::uint64_t before = proxy_->bytes();
  prepared_->store();
  EXPECT_LT(proxy_->bytes() - before, object_.size() / 100);
  expect_stored_alone();
}

TEST_F(SftpPrepareFileTest, GivenUpItIsGone) {
  prepared_.reset();
  EXPECT_EQ(files_there(), 0);
}

TEST_F(SftpPrepareFileTest, ConnectionCutMeanwhile) {
  proxy_->cut();
  prepared_->store();
  expect_stored_alone();
}

TEST_F(SftpPrepareFileTest, ServerKilledAndStartedAgainMeanwhile) {
  server_->kill();
  server_->start();
  prepared_->store();
  expect_stored_alone();
}

TEST_F(SftpPrepareFileTest, OthersUseAConnectionThatWasMadeAhead) {
  const int before = proxy_->connections();
  storage_->connect_ahead();
  EXPECT_EQ(proxy_->connections(), before + 1);
  EXPECT_FALSE(storage_->exists("index/x"));
  EXPECT_EQ(proxy_->connections(), before + 1);
  SftpSettings settings = impatient();
  settings.connected_ahead = 2;
  open(settings).reset();  // waits for them
  EXPECT_EQ(proxy_->connections(), before + 4);
}

TEST_F(SftpPrepareFileTest, TakenAwayMeanwhile) {
  std::filesystem::remove_all(repository() / "index");
  prepared_->store();
  expect_stored_alone();
}

}  // namespace
}  // namespace icecore::storage
