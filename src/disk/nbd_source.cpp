// SPDX-License-Identifier: Apache-2.0
#include "disk/nbd_source.hpp"

#include <algorithm>
#include <cassert>

#include "base/error.hpp"

namespace icecore::disk {

namespace {

// Enough to keep qemu-nbd's threads and both ends of the socket busy; more only spills the cache.
constexpr std::size_t k_requests_max = 8;
// Of disk asked about at once: bounds the extents in memory, whatever the fragmentation.
constexpr std::uint64_t k_status_slice = base::k_gib;

// Through a connection of its own, so that the map runs ahead of the reads undisturbed.
class NbdExtents final : public ExtentStream {
 public:
  NbdExtents(const SourceOptions& options) : options_(options), reader_(options_) {
    size_ = reader_.connection().size();
  }

  std::optional<DataExtent> next(const std::stop_token& stop) override {
    while (!slice_.empty() || at_ < size_) {
      if (slice_.empty()) ask(stop);
      const BlockStatus status = slice_.front();
      slice_.pop_front();
      const std::uint64_t from = at_;
      at_ = std::min(at_ + status.length, size_);
      if (!status.zero && at_ > from) return DataExtent{.offset = from, .length = at_ - from};
    }
    return std::nullopt;
  }

 private:
  void ask(const std::stop_token& stop) {
    const std::uint64_t length = std::min(k_status_slice, size_ - at_);
    for (const BlockStatus& status : reader_.connection().block_status(at_, length, stop)) slice_.push_back(status);
  }

  SourceOptions options_;
  NbdReader reader_;
  std::uint64_t size_ = 0;
  std::uint64_t at_ = 0;
  std::deque<BlockStatus> slice_;
};

}  // namespace

NbdReader::NbdReader(const SourceOptions& options) : options_(options), connection_(connect()) {}

NbdConnection NbdReader::connect() {
  if (!options_.nbd_uri.empty()) return NbdConnection::to_uri(options_.nbd_uri);
  server_.emplace(ServerOptions{.image = options_.image, .format = options_.format});
  try {
    NbdConnection connection = NbdConnection::to_socket(server_->socket());
    server_->forget_socket();
    return connection;
  } catch (const base::Error&) {
    server_->explain_failure();
    throw;
  }
}

void NbdReader::read(std::uint64_t offset, base::ByteSpan out, const std::stop_token& stop) {
  Completion completion;
  connection_.start_read(out, offset, completion);
  connection_.wait(completion, fmt::format("read '{}' at {}", options_.image.string(), offset), stop);
}

NbdSource::NbdSource(const SourceOptions& options) : DiskSource(0, options), options_(options), reader_(options_) {
  size_ = reader_.connection().size();
}

NbdSource::~NbdSource() = default;

std::unique_ptr<ExtentStream> NbdSource::extents() { return std::make_unique<NbdExtents>(options_); }

void NbdSource::start(std::span<const Extent> wanted) {
  const std::lock_guard lock(mutex_);
  assert(requests_.empty() && "the pass before ran to its end");
  planner_ = std::make_unique<WindowPlanner>(extents(), size_, wanted);
  planned_all_ = false;
  next_index_ = 0;
}

std::optional<Chunk> NbdSource::next(const std::stop_token& stop) {
  const std::lock_guard lock(mutex_);
  assert(planner_ && "start() comes before next()");
  return base::with_context(
      [&]() -> std::optional<Chunk> {
        if (!fill_up(stop)) return std::nullopt;
        return finish_oldest(stop);
      },
      "reading '{}'", options_.nbd_uri.empty() ? options_.image.string() : options_.nbd_uri);
}

// Queues requests while there are windows and buffers. False: the pass is over.
bool NbdSource::fill_up(const std::stop_token& stop) {
  while (requests_.size() < k_requests_max) {
    if (!waiting_ && !planned_all_) {
      waiting_ = planner_->next(stop);
      planned_all_ = !waiting_;
    }
    if (!waiting_) break;
    flow::Buffer buffer = requests_.empty() ? pool_.take() : pool_.try_take();
    if (!buffer) break;
    begin(std::move(*waiting_), std::move(buffer));
    waiting_.reset();
  }
  return !requests_.empty();
}

void NbdSource::begin(Window window, flow::Buffer buffer) {
  Request& request = requests_.emplace_back();
  request.chunk = {.index = next_index_++,
                   .offset = window.offset,
                   .length = window.length,
                   .block_size = block_size_,
                   .data_mask = data_mask_of(window, block_size_),
                   .buffer = std::move(buffer)};
  request.completions.resize(window.pieces.size());
  const base::ByteSpan bytes = request.chunk.buffer.first(window.length);
  for (std::size_t i = 0; i < window.pieces.size(); ++i) {
    const DataExtent& piece = window.pieces[i];
    reader_.connection().start_read(bytes.subspan(piece.offset - window.offset, piece.length), piece.offset,
                                    request.completions[i]);
  }
  request.window = std::move(window);
}

Chunk NbdSource::finish_oldest(const std::stop_token& stop) {
  Request& request = requests_.front();
  while (!request.done()) reader_.connection().poll(stop);
  for (std::size_t i = 0; i < request.completions.size(); ++i) {
    expect_ok(request.completions[i], fmt::format("read at {}", request.window.pieces[i].offset));
  }
  Chunk chunk = std::move(request.chunk);
  zero_gaps(request.window, chunk.data_mask, block_size_, chunk.buffer.first(chunk.length));
  requests_.pop_front();
  return chunk;
}

bool NbdSource::Request::done() const {
  return std::all_of(completions.begin(), completions.end(), [](const Completion& each) { return each.done; });
}

}  // namespace icecore::disk
