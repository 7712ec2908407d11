// SPDX-License-Identifier: Apache-2.0
// A file whose bytes go ahead of its name: nothing shows before it is stored, and nothing stays when it is not.
#include "contract/storage/storage_contract.hpp"
#include "rig/undo.hpp"

namespace icecore::storage {
namespace {

using base::Fault;

class PrepareFileContract : public StorageContract {
 protected:
  void SetUp() override {
    StorageContract::SetUp();
    base::write_durably(file_, base::as_bytes("the bytes"));
  }

  const rig::TestFolder folder_;
  const std::filesystem::path file_ = folder_.path() / "file";
};

TEST_P(PrepareFileContract, AppearsWhenItIsStored) {
  const auto prepared = storage().prepare_file("manifests/a/x", file_);
  EXPECT_FALSE(storage().exists("manifests/a/x"));
  EXPECT_TRUE(names("manifests").empty());
  prepared->store();
  EXPECT_EQ(base::to_string(storage().get("manifests/a/x", 100)), "the bytes");
}

TEST_P(PrepareFileContract, LeavesNothingWhenItIsNot) {
  static_cast<void>(storage().prepare_file("index/x", file_));
  EXPECT_FALSE(storage().exists("index/x"));
  storage().put("index/x", base::as_bytes("others'"));
  EXPECT_EQ(names("index"), std::vector<std::string>{"index/x"});
}

TEST_P(PrepareFileContract, OneThatCameMeanwhileStays) {
  const auto same = storage().prepare_file("index/x", file_);
  const auto other = storage().prepare_file("index/y", file_);
  storage().put_file("index/x", file_);
  storage().put("index/y", base::as_bytes("others'"));
  same->store();
  EXPECT_EQ(fault_of([&] { other->store(); }), Fault::conflict);
  EXPECT_EQ(base::to_string(storage().get("index/y", 100)), "others'");
}

TEST_P(PrepareFileContract, ManyLeaveRoomForOthers) {
  std::vector<std::unique_ptr<PreparedFile>> prepared;
  for (int i = 0; i < 20; ++i) prepared.push_back(storage().prepare_file(fmt::format("index/{}", i), file_));
  EXPECT_TRUE(names("index").empty());
  for (const auto& file : prepared) file->store();
  EXPECT_EQ(names("index").size(), 20U);
}

INSTANTIATE_TEST_SUITE_P(All, PrepareFileContract, testing::ValuesIn(k_kinds),
                         [](const auto& chosen) { return std::string(chosen.param.name); });

}  // namespace
}  // namespace icecore::storage
