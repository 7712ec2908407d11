// SPDX-License-Identifier: Apache-2.0
// Reading from NBD servers that are slow, broken, poor or gone (nbdkit with its filters).
#include "disk/nbd_source.hpp"

#include <signal.h>

#include <fstream>
#include <thread>

#include "unit/disk/image_fixture.hpp"

namespace icecore::disk {
namespace {

using base::Fault;

class NbdSourceTest : public ImageTest {
 protected:
  NbdSourceTest() {
    make("a.raw", "raw", "16M");
    io(file("a.raw"), "raw", {"write -P 1 0 8M", "write -P 2 12M 100k"});
  }

  void SetUp() override {
    if (base::run({.arguments = {"sh", "-c", "command -v nbdkit"}}, std::chrono::seconds(20)).exit_code == 0) return;
    const char* const required = ::getenv("ICECORE_REQUIRE");
    if (required != nullptr && std::string(required) != "") FAIL() << "nbdkit is not installed";
    GTEST_SKIP() << "nbdkit is not installed";
  }

  // Serves a.raw with these filters and their settings until the test ends.
  std::string serve(const std::vector<std::string>& filters, const std::vector<std::string>& settings) {
    std::vector<std::string> arguments = {"nbdkit", "-f", "-U", file("socket").string(), "-P", file("pid").string()};
    for (const std::string& filter : filters) arguments.push_back("--filter=" + filter);
    arguments.insert(arguments.end(), {"file", file("a.raw").string()});
    arguments.insert(arguments.end(), settings.begin(), settings.end());
    server_ = std::make_unique<base::Child>(base::Command{.arguments = std::move(arguments)});
    const base::Stopwatch watch;
    // The PID file comes when the socket listens.
    while (!std::filesystem::exists(file("pid")) && !server_->poll() && watch.elapsed() < std::chrono::seconds(20)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return "nbd+unix:///?socket=" + file("socket").string();
  }

  static std::uint64_t read_all(DiskSource& source) {
    std::uint64_t bytes = 0;
    source.read({},
                [&](const Chunk& chunk) {
                  bytes += chunk.data_bytes();
                  const std::byte wanted{chunk.offset < 12 * base::k_mib ? std::uint8_t{1} : std::uint8_t{2}};
                  EXPECT_EQ(chunk.block(0).front(), wanted);
                },
                {});
    return bytes;
  }

  std::unique_ptr<base::Child> server_;
};

TEST_F(NbdSourceTest, ReadsFromAUri) {
  const auto source = DiskSource::open({.nbd_uri = serve({}, {})});
  EXPECT_EQ(source->size(), 16 * base::k_mib);
  EXPECT_EQ(read_all(*source), 8 * base::k_mib + 128 * base::k_kib);
  EXPECT_EQ(read_all(*source), 8 * base::k_mib + 128 * base::k_kib);
}

TEST_F(NbdSourceTest, ReadsEverythingWhereHolesAreUnknown) {
  const auto source = DiskSource::open({.nbd_uri = serve({"noextents"}, {})});
  std::uint64_t bytes = 0;
  source->read({}, [&](const Chunk& chunk) { bytes += chunk.data_bytes(); }, {});
  EXPECT_EQ(bytes, 16 * base::k_mib);
}

TEST_F(NbdSourceTest, SlowAnswersComeInOrderAllTheSame) {
  const auto source = DiskSource::open({.nbd_uri = serve({"delay"}, {"rdelay=30ms"})});
  EXPECT_EQ(read_all(*source), 8 * base::k_mib + 128 * base::k_kib);
}

TEST_F(NbdSourceTest, AReadErrorNamesTheSourceAndTheOffset) {
  const auto source = DiskSource::open({.nbd_uri = serve({"error"}, {"error-pread=EIO", "error-pread-rate=100%"})});
  const base::Error error = error_of([&] { read_all(*source); });
  EXPECT_NE(std::string(error.what()).find("read at 0"), std::string::npos) << error.what();
  EXPECT_NE(std::string(error.what()).find("nbd+unix"), std::string::npos) << error.what();
}

TEST_F(NbdSourceTest, AServerThatDiesIsNoticed) {
  const auto source = DiskSource::open({.nbd_uri = serve({"delay"}, {"rdelay=100ms"})});
  source->start();
  ASSERT_TRUE(source->next({}));
  ::kill(server_->pid(), SIGKILL);
  const base::Error error = error_of([&] {
    while (source->next({})) {
    }
  });
  EXPECT_EQ(error.fault(), Fault::unavailable) << error.what();
}

TEST_F(NbdSourceTest, AStopEndsTheWaitForASlowServer) {
  const auto source = DiskSource::open({.nbd_uri = serve({"delay"}, {"rdelay=60"})});
  source->start();
  std::stop_source stop;
  const base::Stopwatch watch;
  std::jthread stopper([&] { stop.request_stop(); });
  EXPECT_EQ(error_of([&] { source->next(stop.get_token()); }).fault(), Fault::cancelled);
  EXPECT_LT(watch.elapsed(), std::chrono::seconds(20));
}

TEST_F(NbdSourceTest, AnAddressWithoutServerIsUnavailable) {
  const base::Error error =
      error_of([&] { DiskSource::open({.nbd_uri = "nbd+unix:///?socket=" + file("none").string()}); });
  EXPECT_EQ(error.fault(), Fault::unavailable);
  EXPECT_NE(std::string(error.what()).find("none"), std::string::npos) << error.what();
}

}  // namespace
}  // namespace icecore::disk
