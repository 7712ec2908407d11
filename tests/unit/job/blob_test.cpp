// SPDX-License-Identifier: Apache-2.0
#include "job/blob.hpp"

#include <sys/stat.h>

#include "unit/repository/fixture.hpp"

namespace icecore::job {
namespace {

using base::Fault;
using repository::expect_fault;
using repository::ManifestBlob;

class BlobTest : public repository::RepositoryFixture {
 protected:
  void SetUp() override {
    RepositoryFixture::SetUp();
    create();
  }

  std::filesystem::path write(const std::string& name, const base::Bytes& content, unsigned mode = 0640) const {
    base::write_durably(folder_ / name, content, mode);
    return folder_ / name;
  }
  ManifestBlob store(const FileCopy& file) {
    repository::BlockWriter writer(*repository_);
    const ManifestBlob blob = store_blob(writer, "nvram", file);
    stats_ = writer.finish();
    return blob;
  }
  ManifestBlob store(const std::filesystem::path& path) {
    repository::BlockWriter writer(*repository_);
    const ManifestBlob blob =
        store_file(writer, "kernel", path, [this](std::uint64_t bytes) { bytes_read_ = bytes; }, {});
    stats_ = writer.finish();
    return blob;
  }
  base::Bytes restored(const ManifestBlob& blob, const std::vector<repository::BlockRange>& lost = {}) {
    repository_->refresh_index();
    const std::filesystem::path path = folder_ / ("restored-" + base::random_id(4));
    restore_blob(*repository_, blob, lost, path, {});
    return base::read_file(path);
  }

  std::uint64_t bytes_read_ = 0;
};

TEST_F(BlobTest, FilesOfAnyLengthComeBackAsTheyWere) {
  const base::Bytes content = make_image({1, 0, 2, 3, 0, 0, 1, 5, 7, 9, 0});
  for (const std::size_t size : {0UL, 1UL, 4095UL, 4096UL, 4097UL, 20000UL, content.size()}) {
    const base::Bytes part(content.begin(), content.begin() + static_cast<std::ptrdiff_t>(size));
    const std::filesystem::path path = write("file", part);
    for (const ManifestBlob& blob : {store(copy_file(path)), store(path)}) {
      EXPECT_EQ(blob.size, size);
      EXPECT_EQ(restored(blob), part) << size;
    }
    EXPECT_EQ(bytes_read_, size);
  }
}

TEST_F(BlobTest, ALargeFileIsReadPieceByPiece) {
  base::Bytes content(9 * base::k_mib + 123);
  for (std::size_t i = 0; i < content.size(); i += 100'000) content[i] = static_cast<std::byte>(i % 251);
  const ManifestBlob blob = store(write("initrd", content));
  EXPECT_EQ(restored(blob), content);
}

TEST_F(BlobTest, WhatIsThereAlreadyAndZeroesCostNothing) {
  const std::filesystem::path path = write("file", make_image({1, 0, 3}));
  store(path);
  EXPECT_LT(stats_.new_bytes, 3 * k_block);  // two blocks, and their names
  const ManifestBlob again = store(copy_file(path));
  EXPECT_EQ(stats_.new_bytes, 0U);
  restore_blob(*repository_, again, {}, folder_ / "sparse", {});
  struct stat info {};
  ASSERT_EQ(::stat((folder_ / "sparse").c_str(), &info), 0);
  EXPECT_LT(info.st_blocks * 512, 3 * k_block);
}

TEST_F(BlobTest, ModeAndOwnerComeBackToo) {
  const ManifestBlob blob = store(copy_file(write("file", make_block(1), 0751)));
  EXPECT_EQ(blob.mode, 0751U);
  restore_blob(*repository_, blob, {}, folder_ / "again", {});
  EXPECT_EQ(owner_of(folder_ / "again"), owner_of(folder_ / "file"));
}

TEST_F(BlobTest, AnOwnerThisHostDoesNotKnowIsNotMadeUp) {
  const std::filesystem::path path = write("file", make_block(1), 0600);
  const FileOwner before = owner_of(path);
  EXPECT_FALSE(give_to({.mode = 0644, .user = "nobody-of-this-name", .group = before.group}, path));
  EXPECT_EQ(owner_of(path).user, before.user);
  EXPECT_EQ(owner_of(path).mode, 0644U);
  EXPECT_TRUE(give_to(before, path));
  EXPECT_EQ(owner_of(path), before);
}

TEST_F(BlobTest, NothingIsWrittenOver) {
  const ManifestBlob blob = store(copy_file(write("file", make_block(1))));
  expect_fault(Fault::conflict, "exists", [&] { restore_blob(*repository_, blob, {}, folder_ / "file", {}); });
  EXPECT_EQ(base::read_file(folder_ / "file"), make_block(1));
}

TEST_F(BlobTest, WhatCannotBeReadLeavesNoFileAndLostBlocksReadAsZeroes) {
  ManifestBlob blob = store(copy_file(write("file", make_image({1, 2}))));
  const std::vector<storage::ObjectInfo> packs = storage_.list("packs");
  for (const storage::ObjectInfo& pack : packs) storage_.remove(pack.name);
  expect_fault(Fault::corrupt, "nvram", [&] { restore_blob(*repository_, blob, {}, folder_ / "again", {}); });
  EXPECT_FALSE(std::filesystem::exists(folder_ / "again"));
  EXPECT_EQ(restored(blob, {{0, 2}}), base::Bytes(2 * k_block));
  blob.size = 1;
  expect_fault(Fault::corrupt, "do not agree", [&] { restored(blob); });
}

TEST_F(BlobTest, AFileIsComparedWithoutReadingTheBlob) {
  const base::Bytes content = make_image({1, 0, 3, 4});
  const std::filesystem::path path = write("file", content);
  const ManifestBlob blob = store(path);
  EXPECT_TRUE(has_content_of(*repository_, blob, path));
  EXPECT_FALSE(has_content_of(*repository_, blob, folder_ / "missing"));
  write("file", make_image({1, 3, 0, 4}));
  EXPECT_FALSE(has_content_of(*repository_, blob, path));
  write("file", make_image({1, 0, 3}));
  EXPECT_FALSE(has_content_of(*repository_, blob, path));
}

TEST_F(BlobTest, AFolderIsItsPlainFilesInOrder) {
  base::create_folders(folder_ / "state" / "below");
  for (const char* name : {"b", "a", ".lock", "below/c"}) write(std::string("state/") + name, make_block(1));
  const std::vector<FileCopy> files = copy_folder(folder_ / "state");
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files[0].path.filename(), "a");
  EXPECT_EQ(files[1].path.filename(), "b");
  EXPECT_TRUE(copy_folder(folder_ / "none").empty());
}

}  // namespace
}  // namespace icecore::job
