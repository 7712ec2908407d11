// SPDX-License-Identifier: Apache-2.0
// Both ways of reading show the guest-visible content of real images of every shape, and nothing of the holes.
#include "disk/disk_source.hpp"

#include <sys/resource.h>

#include <atomic>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "base/durable_file.hpp"
#include "unit/disk/image_fixture.hpp"

namespace icecore::disk {
namespace {

using base::Fault;

constexpr std::size_t k_block = 64 * base::k_kib;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool k_sanitized = true;
#else
constexpr bool k_sanitized = false;
#endif

// The whole disk as the source shows it; what it does not deliver is zero.
base::Bytes assemble(DiskSource& source, std::span<const Extent> wanted = {}) {
  base::Bytes disk(source.size());
  std::uint64_t index = 0;
  std::uint64_t end = 0;
  source.read(wanted,
              [&](const Chunk& chunk) {
                EXPECT_EQ(chunk.index, index++);
                EXPECT_EQ(chunk.offset % base::k_mib, 0U);
                EXPECT_GE(chunk.offset, end);
                EXPECT_NE(chunk.data_mask, 0U);
                end = chunk.offset + chunk.length;
                for (std::size_t i = 0; i < chunk.block_count(); ++i) {
                  if (!chunk.has_data(i)) continue;
                  const base::ByteView block = chunk.block(i);
                  std::copy(block.begin(), block.end(),
                            disk.begin() + static_cast<std::ptrdiff_t>(chunk.offset + i * k_block));
                }
              },
              {});
  return disk;
}

class DiskSourceTest : public ImageTest, public ::testing::WithParamInterface<ReadStrategy> {
 protected:
  std::unique_ptr<DiskSource> open(const std::filesystem::path& image, const std::string& format) {
    return DiskSource::open({.image = image, .format = format, .strategy = GetParam()});
  }
  // The source shows what qemu-img convert shows.
  void expect_reads_right(const std::filesystem::path& image, const std::string& format) {
    run({"qemu-img", "convert", "-U", "-f", format, "-O", "raw", image.string(), file("wanted").string()});
    const auto source = open(image, format);
    const base::Bytes wanted = base::read_file(file("wanted"));
    ASSERT_EQ(source->size(), wanted.size());
    EXPECT_TRUE(assemble(*source) == wanted);
    EXPECT_TRUE(assemble(*source) == wanted) << "in the second pass";
  }
};

std::string strategy_name(const ::testing::TestParamInfo<ReadStrategy>& strategy) {
  if (strategy.param == ReadStrategy::direct) return "Direct";
  return strategy.param == ReadStrategy::nbd ? "Nbd" : "Automatic";
}

INSTANTIATE_TEST_SUITE_P(, DiskSourceTest,
                         ::testing::Values(ReadStrategy::automatic, ReadStrategy::direct, ReadStrategy::nbd),
                         strategy_name);

TEST_P(DiskSourceTest, ReadsRawWithHoles) {
  const auto path = make("a.raw", "raw", "20M");
  io(path, "raw", {"write -P 1 0 100", "write -P 2 5M 3M", "write -P 3 12345k 7k", "write -P 4 20479k 1k"});
  expect_reads_right(path, "raw");
}

TEST_P(DiskSourceTest, ReadsQcow2OfAnyClusterSize) {
  for (const char* options : {"cluster_size=64k", "cluster_size=2M", "cluster_size=4k", "compat=0.10",
                              "cluster_size=128k,extended_l2=on", "preallocation=metadata"}) {
    SCOPED_TRACE(options);
    const auto path = make("a.qcow2", "qcow2", "20M", options);
    io(path, "qcow2", {"write -P 1 0 100", "write -P 2 5M 3M", "write -P 3 12345k 7k", "write -P 4 20479k 1k"});
    expect_reads_right(path, "qcow2");
  }
}

TEST_P(DiskSourceTest, ReadsAWholeChain) {
  const auto base = make("base.raw", "raw", "10M");
  io(base, "raw", {"write -P 1 0 4M", "write -P 5 9M 1M"});
  const auto middle = make_overlay("middle.qcow2", base, "raw");
  io(middle, "qcow2", {"write -P 2 1M 1M", "write -P 3 70k 3k", "write -z 3M 512k"});
  const auto top = make_overlay("top.qcow2", middle, "qcow2");
  io(top, "qcow2", {"write -P 4 1500k 100k", "discard 9M 1M"});
  expect_reads_right(top, "qcow2");
}

TEST_P(DiskSourceTest, ReadsAnOverlayLargerThanItsBase) {
  const auto base = make("base.raw", "raw", "3M");
  io(base, "raw", {"write -P 1 0 3M"});
  const auto top = make_overlay("top.qcow2", base, "raw");
  run({"qemu-img", "resize", "-q", "-f", "qcow2", top.string(), "6M"});
  io(top, "qcow2", {"write -P 2 5M 10k"});
  expect_reads_right(top, "qcow2");
}

TEST_P(DiskSourceTest, ReadsCompressedClusters) {
  const auto plain = make("plain.qcow2", "qcow2", "10M");
  io(plain, "qcow2", {"write -P 1 0 4M", "write -P 5 9M 1M"});
  run({"qemu-img", "convert", "-c", "-f", "qcow2", "-O", "qcow2", plain.string(), file("all.qcow2").string()});
  expect_reads_right(file("all.qcow2"), "qcow2");
  io(file("all.qcow2"), "qcow2", {"write -P 7 64k 2M"});
  expect_reads_right(file("all.qcow2"), "qcow2");
  io(plain, "qcow2", {"write -c -P 3 5M 64k"});
  expect_reads_right(plain, "qcow2");
}

TEST_P(DiskSourceTest, ReadsDisksOfOddSizes) {
  for (const char* size : {"512", "65536", "66048", "1049088", "3670528"}) {
    SCOPED_TRACE(size);
    const auto raw = make("a.raw", "raw", size);
    io(raw, "raw", {fmt::format("write -P 1 0 {}", size)});
    expect_reads_right(raw, "raw");
    const auto qcow2 = make("a.qcow2", "qcow2", size);
    io(qcow2, "qcow2", {fmt::format("write -P 1 0 {}", size)});
    expect_reads_right(qcow2, "qcow2");
  }
}

TEST_P(DiskSourceTest, ReadsARawFileThatEndsInsideASector) {
  std::ofstream(file("odd.raw")) << std::string(70000, 'x');
  const auto source = open(file("odd.raw"), "raw");
  const base::Bytes disk = assemble(*source);
  ASSERT_EQ(disk.size(), 70144U);
  EXPECT_EQ(disk[69999], std::byte{'x'});
  EXPECT_TRUE(base::is_zero(base::ByteView(disk).subspan(70000)));
}

TEST_P(DiskSourceTest, ReadsAnExternalDataFile) {
  const auto path = make("a.qcow2", "qcow2", "4M", "data_file=" + file("a.data").string());
  io(path, "qcow2", {"write -P 1 1M 1M"});
  expect_reads_right(path, "qcow2");
}

TEST_P(DiskSourceTest, ReadsAnImageWhoseNameHasSpecialCharacters) {
  const auto path = make("a, b=c:d 'e'.qcow2", "qcow2", "4M");
  io(path, "qcow2", {"write -P 1 1M 1M"});
  expect_reads_right(path, "qcow2");
}

TEST_P(DiskSourceTest, DeliversNothingForEmptyAndZeroedDisks) {
  const auto path = make("a.qcow2", "qcow2", "10M");
  io(path, "qcow2", {"write -P 1 0 4M", "write -z 0 4M"});
  const auto source = open(path, "qcow2");
  EXPECT_EQ(source->data_bytes(), 0U);
  source->start();
  EXPECT_FALSE(source->next({}));
  EXPECT_FALSE(source->next({}));
}

TEST_P(DiskSourceTest, CountsDataInWholeBlocks) {
  const auto path = make("a.raw", "raw", "10M");
  io(path, "raw", {"write -P 1 0 4k", "write -P 1 1M 64k", "write -P 1 2112k 128k"});
  const auto source = open(path, "raw");
  EXPECT_EQ(source->data_bytes(), 4 * k_block);
  EXPECT_EQ(source->data_bytes(std::vector<Extent>{{base::k_mib, base::k_mib}}), k_block);
}

TEST_P(DiskSourceTest, ReadsOnlyWhatIsWanted) {
  const auto path = make("a.qcow2", "qcow2", "10M");
  io(path, "qcow2", {"write -P 1 0 10M"});
  const auto source = open(path, "qcow2");
  const base::Bytes disk = assemble(*source, std::vector<Extent>{{k_block, k_block}, {5 * base::k_mib, base::k_mib}});
  EXPECT_EQ(std::count(disk.begin(), disk.end(), std::byte{1}), static_cast<std::ptrdiff_t>(k_block + base::k_mib));
  EXPECT_EQ(disk[k_block], std::byte{1});
  EXPECT_EQ(disk[6 * base::k_mib - 1], std::byte{1});
}

TEST_P(DiskSourceTest, SeveralThreadsShareOnePass) {
  const auto path = make("a.qcow2", "qcow2", "64M");
  io(path, "qcow2", {"write -P 1 0 64M"});
  const auto source = DiskSource::open({.image = path, .format = "qcow2", .strategy = GetParam(), .chunks_max = 4});
  source->start();
  std::atomic<std::uint64_t> bytes = 0;
  std::mutex mutex;
  std::set<std::uint64_t> offsets;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        while (const auto chunk = source->next({})) {
          bytes += chunk->data_bytes();
          EXPECT_EQ(chunk->block(15).back(), std::byte{1});
          const std::lock_guard lock(mutex);
          EXPECT_TRUE(offsets.insert(chunk->offset).second);
        }
      });
    }
  }
  EXPECT_EQ(bytes, 64 * base::k_mib);
  EXPECT_EQ(offsets.size(), 32U);
}

TEST_P(DiskSourceTest, WaitsForBuffersAndIsWokenByAbandon) {
  const auto path = make("a.qcow2", "qcow2", "8M");
  io(path, "qcow2", {"write -P 1 0 8M"});
  const auto source = DiskSource::open({.image = path, .format = "qcow2", .strategy = GetParam(), .chunks_max = 1});
  source->start();
  const auto held = source->next({});
  ASSERT_TRUE(held);
  std::jthread waiter([&] { EXPECT_FALSE(source->next({})); });
  source->abandon();
}

TEST_P(DiskSourceTest, StopsOnRequest) {
  const auto path = make("a.qcow2", "qcow2", "8M");
  io(path, "qcow2", {"write -P 1 0 8M"});
  const auto source = open(path, "qcow2");
  std::stop_source stop;
  stop.request_stop();
  source->start();
  EXPECT_EQ(error_of([&] { source->next(stop.get_token()); }).fault(), Fault::cancelled);
}

TEST_P(DiskSourceTest, ReadsASparseTerabyteInBoundedTimeAndMemory) {
  const auto path = make("huge.qcow2", "qcow2", "1T");
  io(path, "qcow2", {"write -P 1 0 4k", "write -P 2 512G 1M", "write -P 3 1048575M 1M"});
  const base::Stopwatch watch;
  const auto source = open(path, "qcow2");
  std::vector<std::uint64_t> offsets;
  source->read({}, [&](const Chunk& chunk) { offsets.push_back(chunk.offset / base::k_mib); }, {});
  EXPECT_EQ(offsets, (std::vector<std::uint64_t>{0, 512 * 1024, 1024 * 1024 - 2}));
  EXPECT_LT(watch.elapsed(), std::chrono::seconds(20));
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  // Sanitizers keep shadow memory of their own.
  EXPECT_LT(usage.ru_maxrss, k_sanitized ? 2048 * 1024 : 256 * 1024) << "KiB";
}

TEST_P(DiskSourceTest, RefusesAnEncryptedImageAndAWrongFormat) {
  run({"qemu-img", "create", "-q", "-f", "qcow2", "--object", "secret,id=s,data=x", "-o",
       "encrypt.format=aes,encrypt.key-secret=s", file("e.qcow2").string(), "1M"});
  EXPECT_EQ(error_of([&] { open(file("e.qcow2"), "qcow2"); }).fault(), Fault::usage);
  EXPECT_EQ(error_of([&] { open(make("a.raw", "raw", "1M"), "qcow2"); }).fault(), Fault::conflict);
  EXPECT_EQ(error_of([&] { open(file("none"), "qcow2"); }).fault(), Fault::not_found);
}

TEST_P(DiskSourceTest, ReadsBesideAWriterOfTheImage) {
  const auto path = make("a.qcow2", "qcow2", "4M");
  io(path, "qcow2", {"write -P 1 1M 1M"});
  const base::Child holder({.arguments = {"qemu-nbd", "-t", "-f", "qcow2", "-k", file("s").string(), path.string()}});
  const base::Stopwatch watch;
  while (!std::filesystem::exists(file("s")) && watch.elapsed() < std::chrono::seconds(20)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  expect_reads_right(path, "qcow2");
}

TEST_P(DiskSourceTest, NoticesAnImageCutWhileBeingRead) {
  const auto path = make("a.raw", "raw", "4M");
  io(path, "raw", {"write -P 1 0 4M"});
  const auto source = open(path, "raw");
  source->start();
  ASSERT_TRUE(source->next({}));
  std::filesystem::resize_file(path, 100000);
  if (GetParam() == ReadStrategy::nbd) return;  // QEMU shows zeros beyond the end
  const base::Error error = error_of([&] {
    while (source->next({})) {
    }
  });
  EXPECT_EQ(error.fault(), Fault::conflict) << error.what();
}

}  // namespace
}  // namespace icecore::disk
