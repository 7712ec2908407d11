// SPDX-License-Identifier: Apache-2.0
// What goes out of a source and into a target is the same disk, and takes no more room than it did.
#include "disk/disk_target.hpp"

#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "base/handle.hpp"
#include "disk/disk_source.hpp"
#include "disk/image.hpp"
#include "unit/disk/image_fixture.hpp"

namespace icecore::disk {
namespace {

using base::Fault;

class DiskTargetTest : public ImageTest {
 protected:
  static TargetLayout layout_of(const ImageInfo& info) {
    return {info.format, info.virtual_size, info.cluster_size, info.compat, info.extended_l2};
  }

  // Copies block by block with `threads` threads, as a restore does.
  static void copy(const std::filesystem::path& from, const std::filesystem::path& to, const TargetLayout& layout,
                   const std::string& format, unsigned threads = 2) {
    create_image(to, layout);
    const auto source = DiskSource::open({.image = from, .format = format});
    const auto target = DiskTarget::open({.image = to, .layout = layout, .writers = threads});
    source->start();
    std::vector<std::jthread> workers;
    for (unsigned i = 0; i < threads; ++i) {
      workers.emplace_back([&, i] {
        while (const auto chunk = source->next({})) write(target->writer(i), *chunk);
      });
    }
    workers.clear();
    target->finish({});
  }

  static void write(TargetWriter& writer, const Chunk& chunk) {
    for (std::size_t block = 0; block < chunk.block_count(); ++block) {
      if (!chunk.has_data(block)) continue;
      writer.write(chunk.offset + block * chunk.block_size, chunk.block(block), {});
    }
    writer.drain({});
  }

  void expect_round_trip(const std::filesystem::path& original, const std::string& format) {
    const ImageInfo before = inspect_image(original, format);
    const auto restored = file("restored." + format);
    copy(original, restored, layout_of(before), format);
    EXPECT_TRUE(same_content(original, format, restored, format));
    if (format == "qcow2") run({"qemu-img", "check", "-q", "-f", "qcow2", restored.string()});
    const ImageInfo after = inspect_image(restored, format);
    EXPECT_EQ(after.virtual_size, before.virtual_size);
    EXPECT_EQ(after.cluster_size, before.cluster_size);
    EXPECT_EQ(after.compat, before.compat);
    EXPECT_EQ(after.extended_l2, before.extended_l2);
    EXPECT_LE(after.actual_size, before.actual_size + before.actual_size / 100);
    std::filesystem::remove(restored);
    std::filesystem::remove(original);
  }

  // A bit of everything a guest does, about 40 MiB of data.
  static std::vector<std::string> guest_writes() {
    return {"write -P 1 0 100k", "write -P 2 5M 30M", "write -P 3 50M 4k", "write -P 4 60001k 3k", "write -z 10M 1M",
            "write -P 0 20M 2M", "write -P 5 70M 8M", "discard 72M 1M",    "write -P 6 102399k 1k"};
  }
};

TEST_F(DiskTargetTest, RoundTripsRaw) {
  const auto path = make("a.raw", "raw", "100M");
  io(path, "raw", guest_writes());
  expect_round_trip(path, "raw");
}

TEST_F(DiskTargetTest, RoundTripsQcow2OfAnyLayout) {
  for (const char* options : {"cluster_size=64k", "cluster_size=2M", "cluster_size=4k", "compat=0.10",
                              "cluster_size=128k,extended_l2=on", "cluster_size=2M,extended_l2=on"}) {
    SCOPED_TRACE(options);
    const auto path = make("a.qcow2", "qcow2", "100M", options);
    io(path, "qcow2", guest_writes());
    expect_round_trip(path, "qcow2");
  }
}

TEST_F(DiskTargetTest, RoundTripsOddSizes) {
  for (const char* size : {"512", "66048", "1049088"}) {
    SCOPED_TRACE(size);
    for (const char* format : {"raw", "qcow2"}) {
      const auto path = make("a", format, size);
      io(path, format, {fmt::format("write -P 1 0 {}", size)});
      expect_round_trip(path, format);
    }
  }
}

TEST_F(DiskTargetTest, ManySmallHolesInARawFileStayHoles) {
  const auto path = make("a.raw", "raw", "16M");
  std::vector<std::string> writes;
  for (int i = 0; i < 512; ++i) writes.push_back(fmt::format("write -P 1 {}k 4k", i * 32));
  io(path, "raw", writes);
  expect_round_trip(path, "raw");
}

TEST_F(DiskTargetTest, AnEmptyTerabyteStaysEmpty) {
  const auto path = make("a.qcow2", "qcow2", "1T");
  expect_round_trip(path, "qcow2");
}

TEST_F(DiskTargetTest, ImagesArePrivateAndNeverOverwritten) {
  create_image(file("a.qcow2"), {.virtual_size = base::k_mib});
  struct stat status {};
  ASSERT_EQ(::stat(file("a.qcow2").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  EXPECT_EQ(error_of([&] { create_image(file("a.qcow2"), {.virtual_size = 4096}); }).fault(), Fault::conflict);
  EXPECT_EQ(inspect_image(file("a.qcow2"), "qcow2").virtual_size, base::k_mib);
  std::filesystem::create_symlink(file("nowhere"), file("link"));
  EXPECT_EQ(error_of([&] { create_image(file("link"), {.virtual_size = 4096}); }).fault(), Fault::conflict);
}

TEST_F(DiskTargetTest, AFailedCreationLeavesNoFile) {
  EXPECT_THROW(create_image(file("a.qcow2"), {.virtual_size = base::k_mib, .cluster_size = 3}), base::Error);
  EXPECT_FALSE(std::filesystem::exists(file("a.qcow2")));
  EXPECT_EQ(error_of([&] { create_image(file("a"), {.format = "vmdk", .virtual_size = 512}); }).fault(), Fault::usage);
}

TEST_F(DiskTargetTest, RefusesAnImageInUse) {
  const TargetLayout layout{.virtual_size = base::k_mib};
  create_image(file("a.qcow2"), layout);
  const auto holder = DiskTarget::open({.image = file("a.qcow2"), .layout = layout});
  const base::Error error = error_of([&] { DiskTarget::open({.image = file("a.qcow2"), .layout = layout}); });
  EXPECT_EQ(error.fault(), Fault::busy) << error.what();
}

TEST_F(DiskTargetTest, AbandonedTargetsEndTheirServer) {
  const TargetLayout layout{.virtual_size = base::k_mib};
  create_image(file("a.qcow2"), layout);
  const base::Bytes bytes(base::k_mib, std::byte{1});
  DiskTarget::open({.image = file("a.qcow2"), .layout = layout})->writer(0).write(0, bytes, {});
  EXPECT_NO_THROW(DiskTarget::open({.image = file("a.qcow2"), .layout = layout}));
}

TEST_F(DiskTargetTest, AFullTargetDiskIsNoSpace) {
  const TargetLayout layout{.format = "raw", .virtual_size = 4 * base::k_mib};
  const auto target = DiskTarget::open({.image = "/dev/full", .layout = layout, .writers = 1});
  const base::Bytes bytes(base::k_mib, std::byte{1});
  EXPECT_EQ(error_of([&] { target->writer(0).write(0, bytes, {}); }).fault(), Fault::no_space);
}

// qemu-nbd then ends with success. Its first table is written when it is made, the next time it is written is the end.
TEST_F(DiskTargetTest, ATableThatCannotBeWrittenAtTheEndIsAFailure) {
  std::ofstream(file("blkdebug")) << "[set-state]\nevent = \"l2_update\"\nnew_state = \"2\"\n\n"
                                  << "[inject-error]\nevent = \"l2_update\"\nstate = \"2\"\nerrno = \"5\"\n";
  std::ofstream(file("qemu-nbd")) << "#!/bin/sh\nfor word; do shift; set -- \"$@\" \"$(printf %s \"$word\" | sed "
                                  << "'s|file.driver=file,file.|file.driver=blkdebug,file.config="
                                  << file("blkdebug").string()
                                  << ",file.image.driver=file,file.image.|')\"; done\nexec /usr/bin/qemu-nbd \"$@\"\n";
  std::filesystem::permissions(file("qemu-nbd"), std::filesystem::perms::owner_all);
  const std::string path = ::getenv("PATH");
  ASSERT_EQ(::setenv("PATH", (folder_.string() + ":" + path).c_str(), 1), 0);
  const base::ScopeExit back([&] { ::setenv("PATH", path.c_str(), 1); });
  const TargetLayout layout{.virtual_size = 4 * base::k_mib};
  create_image(file("a.qcow2"), layout);
  const auto target = DiskTarget::open({.image = file("a.qcow2"), .layout = layout, .writers = 1});
  const base::Bytes bytes(base::k_mib, std::byte{1});
  target->writer(0).write(0, bytes, {});
  target->writer(0).drain({});
  const base::Error error = error_of([&] { target->finish({}); });
  EXPECT_NE(std::string(error.what()).find("a.qcow2"), std::string::npos) << error.what();
}

}  // namespace
}  // namespace icecore::disk
