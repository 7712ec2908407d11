// SPDX-License-Identifier: Apache-2.0
#include "maintenance/read_packs.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

#include "flow/byte_queue.hpp"
#include "flow/stage_group.hpp"
#include "maintenance/repack.hpp"
#include "repository/pack_format.hpp"
#include "repository/pack_reader.hpp"

namespace icecore::maintenance {

using base::Fault;
using repository::PackId;

namespace {

// Each holds a pack, so these bound the memory.
constexpr unsigned k_threads_min = 2;
constexpr unsigned k_threads_max = 4;
// Proved packs the caller has not noted yet.
constexpr std::size_t k_proved_max = 64;

// What reading one pack told.
struct ProvedPack {
  PackId id;
  std::uint64_t size = 0;
  std::string reason;  // empty: it is good
  bool bad_footer = false;
  std::vector<repository::BlockName> bad_blocks;
};

// Threads: one each.
class PackProof {
 public:
  explicit PackProof(repository::Repository& repository) : repository_(repository) {}

  ProvedPack prove(const PackId& id, std::uint64_t size) {
    ProvedPack proved{.id = id, .size = size};
    try {
      if (size > repository::pack_size_max(repository_.config()))
        base::fail(Fault::corrupt, "it is larger than any pack: {} bytes", size);
      const base::Bytes bytes = repository_.storage().get(repository::pack_object(id), size);
      if (repository::PackId{repository::piecewise_digest_of(bytes)} != id)
        proved.reason = "its content is not what its name says";
      prove_frames(bytes, proved);  // always: a pack may have been written wrong
    } catch (const base::Error& error) {
      if (error.fault() != Fault::corrupt && error.fault() != Fault::not_found) throw;
      proved.reason = error.what();
      proved.bad_footer = true;
    }
    return proved;
  }

 private:
  void prove_frames(base::ByteView bytes, ProvedPack& proved) {
    const repository::PackEntry pack =
        repository::parse_pack(repository_.keys(), repository_.config(), proved.id, bytes);
    for (const repository::FrameEntry& frame : pack.frames) {
      const std::vector<bool> good = prove_frame(pack, frame, bytes.subspan(frame.offset, frame.stored_length));
      for (std::size_t i = 0; i < good.size(); ++i) {
        if (good[i]) continue;
        proved.bad_blocks.push_back(frame.blocks[i].name);
        proved.reason = fmt::format("it is damaged in the frame at byte {}", frame.offset);
      }
    }
  }

  std::vector<bool> prove_frame(const repository::PackEntry& pack, const repository::FrameEntry& frame,
                                base::ByteView stored) {
    const repository::FrameLocation at{pack.id,          pack.kind,        frame.offset, frame.stored_length,
                                       frame.raw_length, frame.compression};
    try {
      const base::Buffer decoded =
          repository::decode_frame(repository_.keys(), repository_.config(), decompressor_, at, stored);
      return prove_blocks(repository_.keys(), frame, decoded.view());
    } catch (const base::Error& error) {
      if (error.fault() != Fault::corrupt) throw;
      return std::vector<bool>(frame.blocks.size(), false);
    }
  }

  repository::Repository& repository_;
  repository::Decompressor decompressor_;
};

struct Turn {
  bool known_good;  // or never read
  base::Timestamp read;
  PackId id;
  std::uint64_t size;
  auto operator<=>(const Turn&) const = default;
};

// Before all others those that were damaged: they may have been put right.
std::vector<Turn> longest_unread_first(const PackSizes& packs, const std::set<PackId>& suspects,
                                       const ReadHistory& history) {
  std::vector<Turn> order;
  for (const auto& [id, size] : packs) {
    const auto read = history.find(id);
    const bool known_good = !suspects.contains(id) && (!read || read->good);
    order.push_back({known_good, read ? read->time : base::Timestamp{}, id, size});
  }
  std::sort(order.begin(), order.end());
  return order;
}

class ReadPacks {
 public:
  ReadPacks(repository::Repository& repository, ReadHistory& history, const Watch& watch)
      : repository_(repository),
        history_(history),
        watch_(watch),
        size_max_(repository::pack_size_max(repository.config())) {}

  // Which to read, and how many bytes that is.
  void choose(const PackSizes& packs, const ReadOptions& options) {
    std::uint64_t all = 0;
    for (const auto& [id, size] : packs) all += believed(size);
    const unsigned percent = options.percent;
    const std::uint64_t wanted = percent == 0 ? 0 : percent == 100 ? all : all / 100 * percent + 1;
    for (const Turn& turn : longest_unread_first(packs, options.suspects, history_)) {
      if (turn.known_good && bytes_wanted_ >= wanted) break;
      turns_.push_back(turn);
      bytes_wanted_ += believed(turn.size);
    }
  }

  ReadResult run(unsigned threads) {
    if (turns_.empty()) return result_;
    watch_.tick();
    std::atomic<std::size_t> next = 0;
    flow::ByteQueue<ProvedPack> proved(k_proved_max);
    flow::StageGroup readers;
    readers.watch(proved);
    readers.run(
        "read", static_cast<unsigned>(std::min<std::size_t>(threads, turns_.size())),
        [&](const std::stop_token& stop) {
          PackProof proof(repository_);
          for (std::size_t at = next++; at < turns_.size() && !stop.stop_requested(); at = next++) {
            if (!proved.push(proof.prove(turns_[at].id, turns_[at].size), 1)) return;
          }
        },
        [&] { proved.close(); });
    while (const auto pack = proved.pop()) take(*pack);
    readers.join();
    return result_;
  }

 private:
  // A size is the storage's word.
  std::uint64_t believed(std::uint64_t size) const { return std::min(size, size_max_); }

  void take(const ProvedPack& pack) {
    watch_.tick();
    history_.add(pack.id, pack.reason.empty());
    if (!pack.reason.empty()) result_.bad.push_back({pack.id, pack.reason});
    if (pack.bad_footer) result_.bad_footers.insert(pack.id);
    for (const repository::BlockName& name : pack.bad_blocks) result_.bad_blocks.insert({pack.id, name});
    ++result_.packs;
    result_.bytes += believed(pack.size);
    watch_.on_bytes(result_.bytes, bytes_wanted_);
  }

  repository::Repository& repository_;
  ReadHistory& history_;
  const Watch& watch_;
  const std::uint64_t size_max_;
  std::vector<Turn> turns_;
  std::uint64_t bytes_wanted_ = 0;
  ReadResult result_;
};

unsigned threads_for_this_host() {
  return std::clamp(std::thread::hardware_concurrency(), k_threads_min, k_threads_max);
}

}  // namespace

void ReadResult::add(ReadResult other) {
  packs += other.packs;
  bytes += other.bytes;
  std::ranges::move(other.bad, std::back_inserter(bad));
  bad_blocks.merge(other.bad_blocks);
  bad_footers.merge(other.bad_footers);
}

ReadResult read_packs(repository::Repository& repository, const PackSizes& packs, const ReadOptions& options,
                      ReadHistory& history, const Watch& watch) {
  watch.on_phase("read packs");
  ReadPacks read(repository, history, watch);
  read.choose(packs, options);
  return read.run(options.threads != 0 ? options.threads : threads_for_this_host());
}

}  // namespace icecore::maintenance
