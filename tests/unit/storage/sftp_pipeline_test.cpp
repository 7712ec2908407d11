// SPDX-License-Identifier: Apache-2.0
// In which order a server is asked for what when objects follow each other, and what becomes of them when it refuses.
#include "storage/sftp_pipeline.hpp"

#include <gmock/gmock.h>

#include <map>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "rig/undo.hpp"
#include "unit/storage/scripted_server.hpp"

namespace icecore::storage {
namespace {

using base::Fault;
using testing::ElementsAre;
using testing::IsEmpty;
using Names = std::vector<std::string>;
using Request = ScriptedServer::Request;

// Keeps what it is told of files, not their bytes. What it was asked is a log: "open a", "write a", ...
class Server {
 public:
  std::map<std::string, std::uint64_t> files;
  std::map<std::string, SftpStatus> refusals;  // by what is in the log
  Names log;

  SftpChannel channel() {
    return SftpChannel(
        std::make_unique<ScriptedServer>([this](Request request, base::Bytes& out) { take(request, out); },
                                         ScriptedServer::Extensions{{"fsync@openssh.com", "1"}}));
  }
  std::ptrdiff_t first(const std::string& what) const { return std::find(log.begin(), log.end(), what) - log.begin(); }
  std::ptrdiff_t last(const std::string& what) const {
    return log.rend() - std::find(log.rbegin(), log.rend(), what) - 1;
  }

 private:
  void take(Request& request, base::Bytes& out) {
    if (request.type == SftpType::extended) request.body.text();
    const std::string name = request.body.text();  // handles are names
    const auto refused = refusals.find(note(request.type, name));
    if (refused != refusals.end()) return ScriptedServer::status(out, request.id, refused->second);
    const bool is_there = files.contains(name);
    switch (request.type) {
      case SftpType::open: SftpPacketWriter(out, SftpType::handle).u32(request.id).text(name).finish(); break;
      case SftpType::stat:
        if (is_there) return ScriptedServer::size(out, request.id, files[name]);
        return ScriptedServer::status(out, request.id, SftpStatus::no_such_file);
      case SftpType::write: add(name, request); break;
      case SftpType::rename: files[request.body.text()] = files[name]; [[fallthrough]];
      case SftpType::remove: files.erase(name); break;
      default: break;
    }
    if (request.type == SftpType::open) files[name] = 0;
    if (request.type != SftpType::open) ScriptedServer::status(out, request.id, SftpStatus::ok);
  }
  void add(const std::string& name, Request& request) {
    request.body.u64();
    files[name] += request.body.text().size();
  }
  // "a.tmp" is a.
  const std::string& note(SftpType type, const std::string& path) {
    static const std::map<SftpType, std::string> k_words = {
        {SftpType::open, "open"},     {SftpType::stat, "look"},         {SftpType::write, "write"},
        {SftpType::extended, "sync"}, {SftpType::rename, "rename"},     {SftpType::close, "close"},
        {SftpType::remove, "remove"}, {SftpType::make_folder, "folder"}};
    return log.emplace_back(k_words.at(type) + " " + path.substr(0, path.find('.')));
  }
};

class SftpPipelineTest : public testing::Test {
 protected:
  // Local files of these sizes.
  void add(const std::string& path, std::size_t size) {
    base::write_durably(folder_.path() / path, base::Bytes(size));
    objects_.push_back({.path = path, .temporary = path + ".tmp", .file = folder_.path() / path});
  }
  void add_three(std::size_t size) {
    for (const char* path : {"a", "b", "c"}) add(path, size);
  }
  void send(SftpChannel& channel, std::stop_token stop = {}) {
    upload_all(channel, {.next = [&] { return taken_ < objects_.size() ? &objects_[taken_++] : nullptr; },
                         .stored = [&] { stored_.push_back(objects_[stored_.size()].path); },
                         .stop = std::move(stop)});
  }
  // All it had under way is answered, and gone but for what is stored.
  void expect_refusal(Fault fault) {
    SftpChannel channel = server_.channel();
    try {
      send(channel);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), fault) << error.what();
    }
    EXPECT_TRUE(channel.is_settled());
    for (const auto& [name, size] : server_.files) EXPECT_EQ(name.find('.'), std::string::npos) << name;
    EXPECT_LE(taken_, stored_.size() + 2);
  }

  const rig::TestFolder folder_;
  std::vector<SftpObject> objects_;
  std::size_t taken_ = 0;
  Names stored_;
  Server server_;
};

TEST_F(SftpPipelineTest, BytesOfOneFollowThoseOfTheLastAtOnce) {
  add_three(16 * base::k_mib);
  SftpChannel channel = server_.channel();
  send(channel);
  EXPECT_THAT(stored_, ElementsAre("a", "b", "c"));
  EXPECT_TRUE(channel.is_settled());
  for (const std::string next : {"b", "c"}) {
    const std::string last = next == "b" ? "a" : "b";
    EXPECT_LT(server_.first("write " + last), server_.first("open " + next)) << "no sooner than needed";
    EXPECT_LT(server_.first("open " + next), server_.last("write " + last)) << "opened in time";
    EXPECT_EQ(server_.last("write " + last) + 2, server_.first("write " + next)) << "a sync between";
    EXPECT_LT(server_.first("rename " + last), server_.last("write " + next)) << "named meanwhile";
  }
  EXPECT_EQ(server_.files, (std::map<std::string, std::uint64_t>{
                               {"a", 16 * base::k_mib}, {"b", 16 * base::k_mib}, {"c", 16 * base::k_mib}}));
}

TEST_F(SftpPipelineTest, OneByItselfIsAskedForAsEver) {
  add("a", 10);
  SftpChannel channel = server_.channel();
  send(channel);
  EXPECT_THAT(server_.log, ElementsAre("open a", "look a", "write a", "sync a", "rename a", "sync a", "close a"));
}

// At whatever it is refused.
TEST_F(SftpPipelineTest, RefusalOfTheFirst) {
  for (const std::string what : {"open a", "write a", "sync a", "rename a"}) {
    server_ = {};
    server_.refusals[what] = SftpStatus::quota;
    objects_.clear();
    stored_.clear();
    taken_ = 0;
    add_three(9 * base::k_mib);
    expect_refusal(Fault::no_space);
    EXPECT_THAT(stored_, IsEmpty()) << what;
    EXPECT_THAT(server_.files, IsEmpty()) << what;
  }
}

TEST_F(SftpPipelineTest, RefusalOfTheSecond) {
  for (const std::string what : {"open b", "write b", "sync b", "rename b"}) {
    server_ = {};
    server_.refusals[what] = SftpStatus::permission_denied;
    objects_.clear();
    stored_.clear();
    taken_ = 0;
    add_three(9 * base::k_mib);
    expect_refusal(Fault::denied);
    EXPECT_THAT(stored_, ElementsAre("a")) << what;
    EXPECT_EQ(server_.files, (std::map<std::string, std::uint64_t>{{"a", 9 * base::k_mib}})) << what;
  }
}

// Nothing of a refused object's bytes is sent once that is known.
TEST_F(SftpPipelineTest, ARefusalIsNoticedWhileBytesAreUnderWay) {
  add("a", 64 * base::k_mib);
  server_.refusals["write a"] = SftpStatus::no_space;
  expect_refusal(Fault::no_space);
  EXPECT_LT(std::count(server_.log.begin(), server_.log.end(), "write a"), 100);  // of 2,048
}

TEST_F(SftpPipelineTest, AnObjectThatIsThereIsNotSent) {
  add_three(9 * base::k_mib);
  server_.files["b"] = 9 * base::k_mib;
  SftpChannel channel = server_.channel();
  send(channel);
  EXPECT_THAT(stored_, ElementsAre("a", "b", "c"));
  EXPECT_THAT(server_.log, testing::Not(testing::Contains("write b")));
  EXPECT_EQ(server_.files.size(), 3U);
}

TEST_F(SftpPipelineTest, AnObjectOfAnotherSizeEndsIt) {
  add_three(9 * base::k_mib);
  server_.files["b"] = 1;
  expect_refusal(Fault::conflict);
  EXPECT_THAT(stored_, ElementsAre("a"));
  EXPECT_EQ(server_.files["b"], 1U);
}

// What is under way gets its name, what is only opened goes.
TEST_F(SftpPipelineTest, AStopLeavesWhatIsOnlyOpened) {
  add_three(9 * base::k_mib);
  std::stop_source stop;
  SftpChannel channel = server_.channel();
  upload_all(channel, {.next =
                           [&] {
                             if (taken_ == 1) stop.request_stop();
                             return &objects_[taken_++];
                           },
                       .stored = [&] { stored_.push_back(objects_[stored_.size()].path); },
                       .stop = stop.get_token()});
  EXPECT_THAT(stored_, ElementsAre("a"));
  EXPECT_EQ(taken_, 2U);
  EXPECT_EQ(server_.files, (std::map<std::string, std::uint64_t>{{"a", 9 * base::k_mib}}));
  EXPECT_TRUE(channel.is_settled());
}

// A server that ends in the middle of the second.
TEST_F(SftpPipelineTest, ABrokenConnectionIsNotSettled) {
  add_three(9 * base::k_mib);
  int writes = 0;
  SftpChannel channel(std::make_unique<ScriptedServer>([&](const Request& request, base::Bytes& out) {
    if (request.type == SftpType::write && ++writes > 400) return;  // no answer: the script ends
    if (request.type == SftpType::write || request.type == SftpType::rename)
      return ScriptedServer::status(out, request.id, SftpStatus::ok);
    ScriptedServer::nothing_there(request, out);
  }));
  EXPECT_THROW(send(channel), base::Error);
  EXPECT_THAT(stored_, ElementsAre("a"));
  EXPECT_FALSE(channel.is_settled());
  EXPECT_TRUE(channel.is_broken());
}

}  // namespace
}  // namespace icecore::storage
