// SPDX-License-Identifier: Apache-2.0
// Written ranges are all on the file afterwards, whatever their order and size.
#include "disk/write_behind.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "base/durable_file.hpp"
#include "unit/disk/image_fixture.hpp"

namespace icecore::disk {
namespace {

using WriteBehindTest = ImageTest;

TEST_F(WriteBehindTest, LosesNothingOfWhatItSendsAhead) {
  const base::Fd fd = base::open_file(file("a"), O_RDWR | O_CREAT);
  WriteBehind behind(fd.get());
  const base::Bytes piece(300'000, std::byte{7});
  for (std::uint64_t i = 0; i < 400; ++i) {
    const Extent range{(i * 7 % 400) * piece.size(), piece.size()};
    ASSERT_EQ(::pwrite(fd.get(), piece.data(), piece.size(), static_cast<off_t>(range.offset)),
              static_cast<ssize_t>(piece.size()));
    behind.add(range);
  }
  const base::Bytes all = base::read_file(file("a"));
  ASSERT_EQ(all.size(), 400 * piece.size());
  EXPECT_EQ(std::count(all.begin(), all.end(), std::byte{7}), static_cast<std::ptrdiff_t>(all.size()));
}

TEST_F(WriteBehindTest, WhereThereIsNothingToSyncItDoesNothing) {
  const base::Fd fd = base::open_file("/dev/null", O_WRONLY);
  WriteBehind behind(fd.get());
  for (std::uint64_t i = 0; i < 100; ++i) EXPECT_NO_THROW(behind.add({i << 20, 1 << 20}));
}

}  // namespace
}  // namespace icecore::disk
