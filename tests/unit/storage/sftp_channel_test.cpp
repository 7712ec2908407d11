// SPDX-License-Identifier: Apache-2.0
// Servers that say what no honest one would, and what those say who have no room.
#include "storage/sftp_channel.hpp"

#include <gmock/gmock.h>

#include "base/error.hpp"
#include "storage/sftp_download.hpp"
#include "storage/sftp_pipeline.hpp"
#include "unit/storage/scripted_server.hpp"

namespace icecore::storage {
namespace {

using base::Fault;
using testing::HasSubstr;
using Request = ScriptedServer::Request;

SftpChannel channel_to(ScriptedServer::Script script, ScriptedServer::Extensions extensions = {}) {
  return SftpChannel(std::make_unique<ScriptedServer>(std::move(script), std::move(extensions)));
}

template <typename Action>
std::pair<Fault, std::string> refusal_of(Action&& action) {
  try {
    action();
  } catch (const base::Error& error) {
    return {error.fault(), error.what()};
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

void answer_limits(base::Bytes& out, std::uint32_t id, std::uint64_t bytes) {
  SftpPacketWriter(out, SftpType::extended_reply).u32(id).u64(bytes).u64(bytes).u64(bytes).u64(bytes).finish();
}

// One file, or what follows it.
void answer_names(base::Bytes& out, std::uint32_t id, const std::vector<std::string>& names, std::uint32_t mode) {
  SftpPacketWriter packet(out, SftpType::name);
  packet.u32(id).u32(static_cast<std::uint32_t>(names.size()));
  for (const std::string& name : names) packet.text(name).text("").attributes(mode);
  packet.finish();
}
constexpr std::uint32_t k_file = 0100600;
constexpr std::uint32_t k_folder = 0040700;

// A million READs of a byte each are no way to read a file.
TEST(SftpChannelTest, ATinyLimitIsNotBelieved) {
  constexpr std::uint64_t k_size = base::k_mib;
  std::uint64_t reads = 0;
  SftpChannel channel = channel_to(
      [&](Request request, base::Bytes& out) {
        if (request.type == SftpType::extended) return answer_limits(out, request.id, 1);
        if (request.type == SftpType::stat) return ScriptedServer::size(out, request.id, k_size);
        if (request.type != SftpType::read) return ScriptedServer::nothing_there(request, out);
        ++reads;
        request.body.text();
        request.body.u64();
        const std::string bytes(request.body.u32(), 'x');
        SftpPacketWriter(out, SftpType::data).u32(request.id).text(bytes).finish();
      },
      {{"limits@openssh.com", "1"}});
  look_at(channel, "f");  // the limits are known behind the first answer
  EXPECT_EQ(download(channel, "f", k_size).size(), k_size);
  EXPECT_LE(reads, k_size / (32 * base::k_kib));
}

TEST(SftpChannelTest, ASecondGreetingIsRefused) {
  SftpChannel channel = channel_to([](const Request& request, base::Bytes& out) {
    SftpPacketWriter(out, SftpType::version).u32(3).text("new@example.org").text("1").finish();
    ScriptedServer::nothing_there(request, out);
  });
  EXPECT_THAT(refusal_of([&] { look_at(channel, "f"); }), testing::Pair(Fault::unavailable, HasSubstr("greets")));
  EXPECT_FALSE(channel.is_settled());
}

// 1 TiB, of which not a byte comes.
TEST(SftpChannelTest, ASizeIsNotBelievedBeforeTheBytesCome) {
  constexpr std::uint64_t k_claimed = base::k_gib * 1024;
  SftpChannel channel = channel_to([&](const Request& request, base::Bytes& out) {
    if (request.type == SftpType::stat) return ScriptedServer::size(out, request.id, k_claimed);
    if (request.type == SftpType::read) return ScriptedServer::status(out, request.id, SftpStatus::end);
    ScriptedServer::nothing_there(request, out);
  });
  EXPECT_EQ(refusal_of([&] { download(channel, "f", k_claimed); }).first, Fault::corrupt);
  EXPECT_TRUE(channel.is_settled());
}

TEST(SftpListingTest, NamesWithoutEnd) {
  SftpChannel channel = channel_to([](const Request& request, base::Bytes& out) {
    if (request.type != SftpType::read_folder) return ScriptedServer::nothing_there(request, out);
    answer_names(out, request.id, std::vector<std::string>(100, "name"), k_file);
  });
  const auto [fault, text] = refusal_of([&] { list_below(channel, ".", "packs", {.names_bytes = base::k_mib}); });
  EXPECT_EQ(fault, Fault::corrupt);
  EXPECT_THAT(text, HasSubstr("more names"));
}

TEST(SftpListingTest, FoldersWithoutEnd) {
  bool told = false;
  SftpChannel channel = channel_to([&](const Request& request, base::Bytes& out) {
    if (request.type != SftpType::read_folder) return ScriptedServer::nothing_there(request, out);
    told = !told;
    if (!told) return ScriptedServer::status(out, request.id, SftpStatus::end);
    answer_names(out, request.id, {"below"}, k_folder);
  });
  const auto [fault, text] = refusal_of([&] { list_below(channel, ".", "packs", {.depth = 4}); });
  EXPECT_EQ(fault, Fault::corrupt);
  EXPECT_THAT(text, HasSubstr("folders in folders"));
}

TEST(SftpListingTest, AnAnswerWithoutNamesEndsAFolder) {
  SftpChannel channel = channel_to([](const Request& request, base::Bytes& out) {
    if (request.type != SftpType::read_folder) return ScriptedServer::nothing_there(request, out);
    answer_names(out, request.id, {}, k_file);
  });
  EXPECT_TRUE(list_below(channel, ".", "packs").objects.empty());
}

// A server with one file system, which refuses one kind of request.
struct FullServer {
  SftpType refused;
  SftpStatus status;
  std::vector<SftpType> asked = {};

  SftpChannel channel(ScriptedServer::Extensions extensions = {}) {
    return channel_to(
        [this](const Request& request, base::Bytes& out) {
          asked.push_back(request.type);
          if (request.type == SftpType::extended) return answer_file_system(out, request.id);
          if (request.type == refused) return ScriptedServer::status(out, request.id, status);
          if (request.type == SftpType::write) return ScriptedServer::status(out, request.id, SftpStatus::ok);
          ScriptedServer::nothing_there(request, out);
        },
        std::move(extensions));
  }
  // 4 KiB a block, a million of them free.
  static void answer_file_system(base::Bytes& out, std::uint32_t id) {
    SftpPacketWriter packet(out, SftpType::extended_reply);
    packet.u32(id).u64(4096).u64(4096).u64(1 << 21);
    for (int i = 0; i < 5; ++i) packet.u64(1 << 20);
    packet.u64(7).u64(0).u64(255).finish();
  }
};

void put(SftpChannel& channel) {
  const std::array<base::ByteView, 1> parts = {base::as_bytes("bytes")};
  upload(channel, {.path = "packs/x", .temporary = "packs/x.tmp-1", .folders = {}, .parts = parts});
}

TEST(SftpQuotaTest, TheServerSaysSo) {
  FullServer server{SftpType::write, SftpStatus::quota};
  SftpChannel channel = server.channel();
  EXPECT_THAT(refusal_of([&] { put(channel); }), testing::Pair(Fault::no_space, HasSubstr("the quota is used up")));
  EXPECT_EQ(server.asked.back(), SftpType::remove);  // nothing stays
  EXPECT_TRUE(channel.is_settled());
}

// OpenSSH has one word for all: EDQUOT is a failure on a file system with room.
TEST(SftpQuotaTest, TheServerFailsThoughThereIsRoom) {
  for (const SftpType refused : {SftpType::write, SftpType::open, SftpType::rename}) {
    FullServer server{refused, SftpStatus::failure};
    SftpChannel channel = server.channel({{"statvfs@openssh.com", "2"}});
    EXPECT_THAT(refusal_of([&] { put(channel); }),
                testing::Pair(Fault::no_space, HasSubstr("though 4.0 GiB are free: a quota?")));
    EXPECT_TRUE(channel.is_settled());
  }
}

// Answered, so nothing to be asked for ever as if it were away.
TEST(SftpFailureTest, AFailureToReadIsDamage) {
  FullServer server{SftpType::read, SftpStatus::failure};
  SftpChannel channel = server.channel();
  EXPECT_EQ(refusal_of([&] { download_range(channel, "f", 0, 10); }).first, Fault::corrupt);
}

TEST(SftpFailureTest, AnyOtherFailureIsARefusal) {
  for (const SftpType refused : {SftpType::open, SftpType::stat, SftpType::open_folder}) {
    FullServer server{refused, SftpStatus::failure};
    SftpChannel channel = server.channel();
    const auto ask = [&] {
      if (refused == SftpType::open) download_range(channel, "f", 0, 10);
      if (refused == SftpType::stat) look_at(channel, "f");
      if (refused == SftpType::open_folder) list_below(channel, ".", "packs");
    };
    EXPECT_EQ(refusal_of(ask).first, Fault::denied);
  }
}

}  // namespace
}  // namespace icecore::storage
