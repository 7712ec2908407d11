// SPDX-License-Identifier: Apache-2.0
#include "memory/saved_memory.hpp"

#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/durable_file.hpp"
#include "base/error.hpp"

namespace icecore::memory {

namespace {

using base::Fault;

constexpr std::uint64_t k_tail_bytes_max = 512 * base::k_mib;
constexpr std::size_t k_record_bytes = 8;  // in front of a page of the same block as the one before

// A stream sends every page the guest has used, in at least 9 bytes; more than this is no list of ours to make.
void require_believable(const std::vector<RamBlock>& blocks, std::uint64_t file_bytes) {
  std::uint64_t pages = 0;
  for (const RamBlock& block : blocks) pages += block.pages();
  if (pages > file_bytes) base::fail(Fault::corrupt, "{} pages of RAM do not fit a file so small", pages);
}

}  // namespace

SavedMemory::SavedMemory(const std::filesystem::path& path) : path_(path), file_(base::open_file(path, O_RDONLY)) {
  const std::uint64_t file_bytes = base::file_size(file_.get(), path);
  StreamReader reader = read_stream_of(file_.get(), path.string());
  const RamStream stream = parse_ram_stream(
      reader,
      [&](const std::vector<RamBlock>& blocks) {
        require_believable(blocks, file_bytes);
        state_.blocks = lay_out(blocks);
        for (const RamBlock& block : blocks) {
          places_.emplace_back(block.pages());
          checksums_.emplace_back(block.pages());
        }
      },
      [&](const RamPage& page) { take(page); });
  if (file_bytes - stream.tail_at > k_tail_bytes_max) base::fail(Fault::corrupt, "the devices' state is too long");
  state_.section = stream.section;
  state_.prefix = base::read_file_range(path, 0, stream.prefix_bytes);
  state_.tail = base::read_file_range(path, stream.tail_at, file_bytes - stream.tail_at);
  for (std::size_t block = 0; block < state_.blocks.size(); ++block) {
    for (std::size_t page = 0; page < checksums_[block].size(); ++page) {
      if (state_.blocks[block].pages[page] == PageKind::absent) continue;
      state_.checksum += share_of_checksum(block, page, checksums_[block][page]);
    }
  }
}

void SavedMemory::take(const RamPage& page) {
  const bool zero = page.content.empty() || base::is_zero(page.content);
  state_.blocks[page.block].pages[page.number] = zero ? PageKind::zero : PageKind::content;
  places_[page.block][page.number] = page.at;
  checksums_[page.block][page.number] = checksum_of(zero ? base::ByteView() : page.content);
}

std::uint64_t SavedMemory::read(std::uint64_t offset, base::ByteSpan out, std::size_t unit) const {
  std::uint64_t mask = 0;
  for (std::size_t block = 0; block < state_.blocks.size(); ++block) {
    const MemoryBlock& memory = state_.blocks[block];
    const std::uint64_t from = std::max(offset, memory.image_offset);
    const std::uint64_t to = std::min(offset + out.size(), memory.image_offset + memory.ram.bytes);
    if (from >= to) continue;
    const std::uint64_t first = (from - memory.image_offset) / k_page_bytes;
    for (std::uint64_t page = first; page < first + (to - from) / k_page_bytes; ++page) {
      if (memory.pages[page] != PageKind::content) continue;
      mask |= std::uint64_t{1} << ((memory.image_offset + page * k_page_bytes - offset) / unit);
    }
  }
  for (std::size_t i = 0; i * unit < out.size(); ++i) {
    if ((mask >> i & 1U) == 0) continue;
    const base::ByteSpan part = out.subspan(i * unit, std::min(unit, out.size() - i * unit));
    std::memset(part.data(), 0, part.size());
  }
  if (mask == 0) return 0;
  for (std::size_t block = 0; block < state_.blocks.size(); ++block) {
    const MemoryBlock& memory = state_.blocks[block];
    const std::uint64_t from = std::max(offset, memory.image_offset);
    const std::uint64_t to = std::min(offset + out.size(), memory.image_offset + memory.ram.bytes);
    if (from >= to) continue;
    read_pages(block, (from - memory.image_offset) / k_page_bytes, out.subspan(from - offset, to - from));
  }
  return mask;
}

// Pages that follow each other in the file are read in one call, the records between them into nowhere.
void SavedMemory::read_pages(std::size_t block, std::uint64_t first, base::ByteSpan out) const {
  constexpr std::size_t k_run_max = 500;
  std::array<std::byte, k_record_bytes> record{};
  const std::vector<PageKind>& kinds = state_.blocks[block].pages;
  const std::vector<std::uint64_t>& places = places_[block];
  const std::uint64_t end = first + out.size() / k_page_bytes;
  std::vector<iovec> run;
  for (std::uint64_t page = first; page < end;) {
    if (kinds[page] != PageKind::content) {
      ++page;
      continue;
    }
    const std::uint64_t begin = page;
    run.clear();
    do {
      if (page > begin) run.push_back({record.data(), record.size()});
      run.push_back({out.data() + (page - first) * k_page_bytes, k_page_bytes});
      ++page;
    } while (page < end && run.size() < k_run_max && kinds[page] == PageKind::content &&
             places[page] == places[page - 1] + k_page_bytes + k_record_bytes);
    const std::size_t wanted = (page - begin) * (k_page_bytes + k_record_bytes) - k_record_bytes;
    const ssize_t count =
        ::preadv(file_.get(), run.data(), static_cast<int>(run.size()), static_cast<off_t>(places[begin]));
    if (count < 0) base::fail_errno(errno, fmt::format("read '{}' at {}", path_.string(), places[begin]));
    if (static_cast<std::size_t>(count) != wanted)
      base::fail(Fault::conflict, "'{}' was cut while it was being read", path_.string());
  }
}

}  // namespace icecore::memory
