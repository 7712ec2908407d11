// SPDX-License-Identifier: Apache-2.0
#include "repository/block_reader.hpp"

#include <algorithm>
#include <cassert>

#include "base/error.hpp"

namespace icecore::repository {

using base::Fault;

namespace {

constexpr std::size_t k_recent_max = 4;

// Locations come from a cache that may say anything.
bool in_range(const WantedBlock& block, std::size_t frame_bytes) {
  return block.length != 0 && block.offset <= frame_bytes && block.length <= frame_bytes - block.offset;
}

}  // namespace

BlockReader::BlockReader(Repository& repository) : repository_(repository) {}

BlockLocation BlockReader::locate_or_fail(const BlockName& name) {
  do {
    if (const auto location = locate(name)) return *location;
  } while (repository_.renew_index());
  // Another thread may have renewed it between.
  if (const auto location = locate(name)) return *location;
  // Not taken back yet by a prune at work.
  if (repository_.look_in_marked_packs()) {
    if (const auto location = locate(name)) return *location;
  }
  // Damage, or not yet taken back by a prune at work: a verify can tell, and says what to do.
  throw base::Error(Fault::corrupt,
                    fmt::format("block {} is in no index of '{}'", name.hex(), repository_.storage().url()))
      .add_hint("icecore verify");
}

base::Buffer BlockReader::read_frame(const FrameLocation& frame, std::span<const WantedBlock> wanted) {
  std::exception_ptr reason;
  if (std::optional<base::Buffer> bytes = try_frame(frame, wanted, reason)) return std::move(*bytes);
  return read_again(frame, wanted, reason);
}

base::Bytes BlockReader::read_block(const BlockName& name) {
  assert(!name.is_zero());
  const BlockLocation location = locate_or_fail(name);
  const WantedBlock wanted{name, location.offset, location.length};
  const auto block_of = [&](const base::Buffer& bytes) {
    const base::ByteView block = bytes.view().subspan(wanted.offset, wanted.length);
    return base::Bytes(block.begin(), block.end());
  };
  const auto known = std::find_if(recent_.begin(), recent_.end(),
                                  [&](const Decoded& frame) { return frame.location == location.frame; });
  if (known != recent_.end() && holds(known->bytes.view(), wanted)) {
    std::rotate(recent_.begin(), known, known + 1);
    return block_of(recent_.front().bytes);
  }
  std::exception_ptr reason;
  std::optional<base::Buffer> bytes = try_frame(location.frame, std::span(&wanted, 1), reason);
  // What read_again() brings together is no frame to be remembered.
  if (!bytes) return block_of(read_again(location.frame, std::span(&wanted, 1), reason));
  if (recent_.size() == k_recent_max) recent_.pop_back();
  recent_.insert(recent_.begin(), Decoded{location.frame, std::move(*bytes)});
  return block_of(recent_.front().bytes);
}

std::optional<base::Buffer> BlockReader::try_frame(const FrameLocation& frame, std::span<const WantedBlock> wanted,
                                                   std::exception_ptr& reason) {
  try {
    base::Buffer bytes =
        repository::read_frame(repository_.storage(), repository_.keys(), repository_.config(), decompressor_, frame);
    check_blocks(frame, bytes.view(), wanted);
    return bytes;
  } catch (const base::Error& error) {
    if (error.fault() != Fault::corrupt) throw;
    reason = std::current_exception();
    return std::nullopt;
  }
}

bool BlockReader::holds(base::ByteView frame, const WantedBlock& wanted) const {
  return in_range(wanted, frame.size()) &&
         repository_.keys().name_of(frame.subspan(wanted.offset, wanted.length)) == wanted.name;
}

base::Buffer BlockReader::read_again(const FrameLocation& frame, std::span<const WantedBlock> wanted,
                                     const std::exception_ptr& reason) {
  repository_.renew_index();
  std::size_t end = 0;
  for (const WantedBlock& block : wanted) end = std::max<std::size_t>(end, std::size_t{block.offset} + block.length);
  if (end > repository_.config().frame_bytes) std::rethrow_exception(reason);
  base::Buffer out(
      std::max<std::size_t>(end, frame.raw_length <= repository_.config().frame_bytes ? frame.raw_length : 0));
  for (const WantedBlock& block : wanted) {
    const std::optional<BlockLocation> found = locate(block.name);
    if (!found || (found->frame == frame && found->offset == block.offset) || found->length != block.length) {
      std::rethrow_exception(reason);
    }
    const base::Buffer bytes = repository::read_frame(repository_.storage(), repository_.keys(), repository_.config(),
                                                      decompressor_, found->frame);
    const WantedBlock moved{block.name, found->offset, found->length};
    check_blocks(found->frame, bytes.view(), std::span(&moved, 1));
    std::copy_n(bytes.view().begin() + found->offset, found->length, out.span().begin() + block.offset);
  }
  return out;
}

void BlockReader::check_blocks(const FrameLocation& frame, base::ByteView bytes,
                               std::span<const WantedBlock> wanted) const {
  std::vector<base::ByteView> views;
  views.reserve(wanted.size());
  for (const WantedBlock& block : wanted) {
    if (!in_range(block, bytes.size())) {
      base::fail(Fault::corrupt, "block {} lies outside of the frame at byte {} of pack {}", block.name.hex(),
                 frame.offset, frame.pack.hex());
    }
    views.push_back(bytes.subspan(block.offset, block.length));
  }
  std::vector<BlockName> names(wanted.size());
  repository_.keys().names_of(views, names);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (names[i] == wanted[i].name) continue;
    base::fail(Fault::corrupt, "block {} in the frame at byte {} of pack {} is not what its name says",
               wanted[i].name.hex(), frame.offset, frame.pack.hex());
  }
}

}  // namespace icecore::repository
