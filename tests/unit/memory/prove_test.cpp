// SPDX-License-Identifier: Apache-2.0
// From a save file into its two parts and back: the guest's memory is the same, and a difference is found.
#include "memory/prove.hpp"

#include <fcntl.h>

#include <functional>

#include "unit/memory/save_file_fixture.hpp"

namespace icecore::memory {
namespace {

using base::Fault;

class ProveTest : public SaveFileTest {
 protected:
  static Fault fault_of(const std::function<void()>& action) {
    try {
      action();
    } catch (const base::Error& error) {
      return error.fault();
    }
    ADD_FAILURE() << "nothing was thrown";
    return Fault::internal;
  }
};

TEST_F(ProveTest, WhatIsRebuiltIsTheSameMemory) {
  const SavedMemory memory(write(sample_save_file().bytes()));
  EXPECT_NO_THROW(prove(memory, {}));
  const MemoryState state = decode_state(encode_state(memory.state()), "state");
  rebuild(folder_ / "rebuilt", state, image_of(memory));
  EXPECT_NO_THROW(verify_save_file(folder_ / "rebuilt", state));

  const SavedMemory again(folder_ / "rebuilt");
  EXPECT_EQ(image_of(again), image_of(memory));
  EXPECT_EQ(again.state().tail, memory.state().tail);
  EXPECT_EQ(again.state().prefix, memory.state().prefix);
  EXPECT_EQ(again.state().checksum, memory.state().checksum);
  for (std::size_t i = 0; i < state.blocks.size(); ++i)
    EXPECT_EQ(again.state().blocks[i].pages, memory.state().blocks[i].pages);
}

TEST_F(ProveTest, EachPageIsSentOnce) {
  const SavedMemory memory(write(sample_save_file().bytes()));
  rebuild(folder_ / "rebuilt", memory.state(), image_of(memory));
  EXPECT_LT(std::filesystem::file_size(folder_ / "rebuilt"), sample_save_file().bytes().size());
}

TEST_F(ProveTest, AFileChangedUnderneathIsFound) {
  const std::filesystem::path path = write(sample_save_file().bytes());
  const SavedMemory memory(path);
  base::Bytes changed = sample_save_file().bytes();
  changed[changed.size() - 9000] ^= std::byte{1};
  const base::Fd file = base::open_file(path, O_WRONLY);
  ASSERT_EQ(::pwrite(file.get(), changed.data(), changed.size(), 0), static_cast<ssize_t>(changed.size()));
  EXPECT_EQ(fault_of([&] { prove(memory, {}); }), Fault::corrupt);
}

TEST_F(ProveTest, ARestoredFileWithAnotherPageIsFound) {
  const SavedMemory memory(write(sample_save_file().bytes()));
  base::Bytes image = image_of(memory);
  image[6 * k_page_bytes] ^= std::byte{1};
  rebuild(folder_ / "rebuilt", memory.state(), image);
  EXPECT_EQ(fault_of([&] { verify_save_file(folder_ / "rebuilt", memory.state()); }), Fault::corrupt);
}

TEST_F(ProveTest, ARestoredFileWithoutABlockIsFound) {
  const SavedMemory memory(write(sample_save_file().bytes()));
  base::Bytes image = image_of(memory);
  std::fill_n(image.begin() + k_block_alignment, k_block_alignment, std::byte{0});
  rebuild(folder_ / "rebuilt", memory.state(), image);
  EXPECT_EQ(fault_of([&] { verify_save_file(folder_ / "rebuilt", memory.state()); }), Fault::corrupt);
}

TEST_F(ProveTest, AFileThatExistsIsNotWrittenOver) {
  const SavedMemory memory(write(sample_save_file().bytes()));
  EXPECT_THROW(open_save_file(folder_ / "memory.save", memory.state(), 1), base::Error);
}

TEST_F(ProveTest, ACutStateIsRefused) {
  const SavedMemory memory(write(sample_save_file().bytes()));
  const base::Bytes bytes = encode_state(memory.state());
  for (std::size_t length = 0; length < bytes.size(); length += length < 200 ? 1 : 501)
    EXPECT_EQ(fault_of([&] { decode_state(base::ByteView(bytes).first(length), "state"); }), Fault::corrupt);
}

TEST_F(ProveTest, AStateOfANewerVersionSaysSo) {
  const SavedMemory memory(write(sample_save_file().bytes()));
  base::Bytes bytes = encode_state(memory.state());
  bytes[14] = std::byte{9};
  EXPECT_EQ(fault_of([&] { decode_state(bytes, "state"); }), Fault::usage);
}

}  // namespace
}  // namespace icecore::memory
