// SPDX-License-Identifier: Apache-2.0
// What an SFTP server says, from its greeting on. The first byte chooses what it is asked.
#include <algorithm>
#include <memory>

#include "fuzz/fuzz.hpp"
#include "storage/sftp_download.hpp"
#include "storage/sftp_pipeline.hpp"
#include "storage/sftp_stream.hpp"

namespace {

namespace base = icecore::base;
namespace storage = icecore::storage;

constexpr std::size_t k_size_max = 64 * base::k_kib;

// Says what it says, whatever it is asked, and then hangs up.
class Tape final : public storage::SftpStream {
 public:
  explicit Tape(base::ByteView bytes) : left_(bytes) {}
  std::size_t write_some(base::ByteView bytes) override { return bytes.size(); }
  std::size_t read_some(base::ByteSpan bytes) override {
    const std::size_t count = std::min(bytes.size(), left_.size());
    std::copy_n(left_.begin(), count, bytes.begin());
    left_ = left_.subspan(count);
    return count;
  }
  void wait() override { base::fail(base::Fault::unavailable, "the tape has ended"); }
  void restart_clocks() override {}
  bool has_hung_up() const noexcept override { return false; }

 private:
  base::ByteView left_;
};

void ask(storage::SftpChannel& channel, unsigned what) {
  const base::ByteView part = base::as_bytes("bytes");
  switch (what % 4) {
    case 0: storage::list_below(channel, ".", "packs", {.names_bytes = k_size_max, .depth = 4}); break;
    case 1: storage::download(channel, "f", k_size_max); break;
    case 2: storage::download_range(channel, "f", 1, 5); break;
    default:
      storage::upload(channel, {.path = "a/f", .temporary = "a/t", .folders = {"a"}, .parts = std::span(&part, 1)});
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const base::ByteView input = icecore::fuzz::view_of(data, size);
  try {
    storage::SftpChannel channel(std::make_unique<Tape>(input.subspan(1)));
    ask(channel, std::to_integer<unsigned>(input[0]));
  } catch (const base::Error&) {  // any refusal will do
  }
  return 0;
}
