// SPDX-License-Identifier: Apache-2.0
// What inspect_image() and inspect_chain() say of real images, and how they refuse.
#include "disk/image.hpp"

#include <algorithm>
#include <thread>

#include "base/durable_file.hpp"
#include "unit/disk/image_fixture.hpp"

namespace icecore::disk {
namespace {

using base::Fault;
using ImageInspect = ImageTest;

TEST_F(ImageInspect, TellsTheLayoutOfAQcow2) {
  const auto path = make("a.qcow2", "qcow2", "100M", "cluster_size=128k,extended_l2=on");
  const ImageInfo info = inspect_image(path, "qcow2");
  EXPECT_EQ(info.path, path);
  EXPECT_EQ(info.format, "qcow2");
  EXPECT_EQ(info.virtual_size, 100U << 20);
  EXPECT_EQ(info.cluster_size, 128U << 10);
  EXPECT_EQ(info.compat, "1.1");
  EXPECT_TRUE(info.extended_l2);
  EXPECT_FALSE(info.encrypted || info.dirty || info.corrupt || info.external_data);
  EXPECT_FALSE(info.backing);
}

TEST_F(ImageInspect, TellsOldCompatAndRaw) {
  EXPECT_EQ(inspect_image(make("old.qcow2", "qcow2", "1M", "compat=0.10"), "qcow2").compat, "0.10");
  const ImageInfo raw = inspect_image(make("a.raw", "raw", "1M"), "raw");
  EXPECT_EQ(raw.cluster_size, 0U);
  EXPECT_EQ(raw.virtual_size, 1U << 20);
}

TEST_F(ImageInspect, NamesSnapshotsAndBitmaps) {
  const auto path = make("a.qcow2", "qcow2", "1M");
  run({"qemu-img", "snapshot", "-c", "before", path.string()});
  run({"qemu-img", "bitmap", "--add", "-f", "qcow2", path.string(), "marks"});
  const ImageInfo info = inspect_image(path, "qcow2");
  EXPECT_EQ(info.internal_snapshots, std::vector<std::string>{"before"});
  EXPECT_EQ(info.bitmaps, (std::vector<ImageBitmap>{{.name = "marks", .granularity = 65536, .recording = true}}));
}

TEST_F(ImageInspect, NeverProbesTheFormat) {
  const auto path = make("looks.raw", "qcow2", "10M");
  EXPECT_EQ(inspect_image(path, "raw").format, "raw");
  EXPECT_LT(inspect_image(path, "raw").virtual_size, 10U << 20);
}

TEST_F(ImageInspect, ExplainsWhatIsWrong) {
  const auto raw = make("a.raw", "raw", "1M");
  const base::Error mismatch = error_of([&] { inspect_image(raw, "qcow2"); });
  EXPECT_EQ(mismatch.fault(), Fault::conflict) << mismatch.what();
  EXPECT_NE(std::string(mismatch.what()).find(raw.string()), std::string::npos) << mismatch.what();
  const base::Error missing = error_of([&] { inspect_image(file("none"), "raw"); });
  EXPECT_EQ(missing.fault(), Fault::not_found);
  EXPECT_EQ(error_of([&] { inspect_image(folder_, "raw"); }).fault(), Fault::usage);
  EXPECT_EQ(error_of([&] { inspect_image(raw, ""); }).fault(), Fault::usage);
  EXPECT_EQ(error_of([&] { inspect_image(raw, "qcow2,file.filename=/etc/passwd"); }).fault(), Fault::usage);
}

TEST_F(ImageInspect, ReadsAnImageThatSomebodyHasOpenForWriting) {
  const auto path = make("a.qcow2", "qcow2", "1M");
  const base::Child holder({.arguments = {"qemu-nbd", "-t", "-f", "qcow2", "-k", file("s").string(), path.string()}});
  const base::Stopwatch watch;
  while (!std::filesystem::exists(file("s")) && watch.elapsed() < std::chrono::seconds(20)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(inspect_image(path, "qcow2").virtual_size, 1U << 20);
}

TEST_F(ImageInspect, ListsTheChainTopFirst) {
  const auto base = make("base.raw", "raw", "2M");
  const auto middle = make_overlay("middle.qcow2", base, "raw");
  const auto top = make_overlay("top.qcow2", middle, "qcow2");
  const auto chain = inspect_chain(top, "qcow2");
  ASSERT_EQ(chain.size(), 3U);
  EXPECT_EQ(chain[0].path, top);
  EXPECT_EQ(chain[0].backing, middle);
  EXPECT_EQ(chain[1].path, middle);
  EXPECT_EQ(chain[2].path, base);
  EXPECT_EQ(chain[2].format, "raw");
}

TEST_F(ImageInspect, ResolvesRelativeBackingNames) {
  make("base.raw", "raw", "2M");
  run({"sh", "-c", "cd \"$1\" && qemu-img create -q -f qcow2 -F raw -b base.raw top.qcow2", "sh", folder_.string()});
  EXPECT_EQ(inspect_chain(file("top.qcow2"), "qcow2").at(1).path, file("base.raw"));
}

TEST_F(ImageInspect, NamesTheMissingBackingFile) {
  const auto base = make("base.raw", "raw", "2M");
  const auto top = make_overlay("top.qcow2", base, "raw");
  std::filesystem::remove(base);
  const base::Error error = error_of([&] { inspect_chain(top, "qcow2"); });
  EXPECT_EQ(error.fault(), Fault::not_found);
  EXPECT_NE(std::string(error.what()).find("base.raw"), std::string::npos) << error.what();
}

TEST_F(ImageInspect, RefusesABackingFileWithoutFormat) {
  const auto base = make("base.raw", "raw", "2M");
  const auto top = make_overlay("top.qcow2", base, "raw");
  // Today's qemu-img no longer makes such images: turn the header extension that names the format into one
  // that readers skip.
  base::Bytes header = base::read_file(top);
  const base::Bytes names_format = base::from_hex("e2792aca");
  const auto extension = std::search(header.begin(), header.end(), names_format.begin(), names_format.end());
  ASSERT_NE(extension, header.end());
  *extension = std::byte{0x12};
  base::write_durably(top, header);
  const base::Error error = error_of([&] { inspect_chain(top, "qcow2"); });
  EXPECT_EQ(error.fault(), Fault::conflict);
  EXPECT_NE(error.hint().find("qemu-img rebase"), std::string::npos);
}

TEST_F(ImageInspect, ComparesContentAcrossFormats) {
  const auto one = make("one.qcow2", "qcow2", "1M");
  const auto two = make("two.raw", "raw", "1M");
  EXPECT_TRUE(same_content(one, "qcow2", two, "raw"));
  io(two, "raw", {"write -P 1 4k 512"});
  EXPECT_FALSE(same_content(one, "qcow2", two, "raw"));
}

}  // namespace
}  // namespace icecore::disk
