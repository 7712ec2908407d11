// SPDX-License-Identifier: Apache-2.0
// An SFTP server without a network: for each request the test says what comes back, as no honest server would.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "storage/sftp_packet.hpp"
#include "storage/sftp_stream.hpp"

namespace icecore::storage {

class ScriptedServer final : public SftpStream {
 public:
  struct Request {
    SftpType type;
    std::uint32_t id;
    SftpPacketReader body;
  };
  // Appends its answer, if any, to `out`.
  using Script = std::function<void(Request request, base::Bytes& out)>;
  using Extensions = std::vector<std::pair<std::string, std::string>>;

  explicit ScriptedServer(Script script, Extensions extensions = {})
      : script_(std::move(script)), extensions_(std::move(extensions)) {}

  std::size_t write_some(base::ByteView bytes) override {
    in_.insert(in_.end(), bytes.begin(), bytes.end());
    while (in_.size() >= 4) {
      const std::size_t length = SftpPacketReader(in_).u32();
      if (in_.size() < 4 + length) break;
      take(base::ByteView(in_).subspan(4, length));
      in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(4 + length));
    }
    return bytes.size();
  }
  std::size_t read_some(base::ByteSpan bytes) override {
    const std::size_t count = std::min(bytes.size(), out_.size());
    std::copy_n(out_.begin(), count, bytes.begin());
    out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(count));
    return count;
  }
  void wait() override { base::fail(base::Fault::unavailable, "the script has ended"); }
  void restart_clocks() override {}
  bool has_hung_up() const noexcept override { return false; }

  // Answers.
  static void status(base::Bytes& out, std::uint32_t id, SftpStatus status) {
    SftpPacketWriter packet(out, SftpType::status);
    packet.u32(id).u32(static_cast<std::uint32_t>(status)).text("").text("").finish();
  }
  static void handle(base::Bytes& out, std::uint32_t id) {
    SftpPacketWriter(out, SftpType::handle).u32(id).text("h").finish();
  }
  static void size(base::Bytes& out, std::uint32_t id, std::uint64_t bytes) {
    SftpPacketWriter(out, SftpType::attributes).u32(id).u32(1).u64(bytes).finish();
  }
  // Opens, closes, and says of anything else that it does not exist.
  static void nothing_there(const Request& request, base::Bytes& out) {
    const bool opens = request.type == SftpType::open || request.type == SftpType::open_folder;
    if (opens) return handle(out, request.id);
    status(out, request.id, request.type == SftpType::close ? SftpStatus::ok : SftpStatus::no_such_file);
  }

 private:
  void take(base::ByteView packet) {
    SftpPacketReader reader(packet);
    const auto type = static_cast<SftpType>(reader.u8());
    const std::uint32_t id = reader.u32();
    if (type != SftpType::init) return script_({type, id, reader}, out_);
    SftpPacketWriter hello(out_, SftpType::version);
    hello.u32(3);
    for (const auto& [name, value] : extensions_) hello.text(name).text(value);
    hello.finish();
  }

  Script script_;
  Extensions extensions_;
  base::Bytes in_;
  base::Bytes out_;
};

}  // namespace icecore::storage
