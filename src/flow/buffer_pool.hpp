// SPDX-License-Identifier: Apache-2.0
// A fixed number of equal buffers that go round: never zero-filled, never more than asked for, so that the
// memory of a transfer is known before it starts. An empty pool blocks the taker: back-pressure.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "base/bytes.hpp"
#include "flow/closable.hpp"

namespace icecore::flow {

class BufferPool;

// One buffer of a pool, or nothing. Goes back to its pool on destruction, from any thread, also when the
// BufferPool object itself is gone. Content is undefined until written.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept : slab_(std::move(other.slab_)), data_(std::exchange(other.data_, nullptr)) {}
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer() { reset(); }

  explicit operator bool() const noexcept { return data_ != nullptr; }
  std::byte* data() noexcept { return data_; }
  const std::byte* data() const noexcept { return data_; }
  // The first `count` bytes, at most the pool's buffer size.
  base::ByteSpan first(std::size_t count) noexcept { return {data_, count}; }
  base::ByteView first(std::size_t count) const noexcept { return {data_, count}; }
  void reset() noexcept;

 private:
  friend class BufferPool;
  struct Slab;
  Buffer(std::shared_ptr<Slab> slab, std::byte* data) noexcept : slab_(std::move(slab)), data_(data) {}

  std::shared_ptr<Slab> slab_;
  std::byte* data_ = nullptr;
};

class BufferPool final : public Closable {
 public:
  // Address space for all of them is taken now, memory when a buffer is first written.
  BufferPool(std::size_t buffer_bytes, std::size_t count);

  // Waits for a free buffer; the one given back last comes first (it is the warmest in the cache). An
  // empty Buffer once the pool is abandoned.
  Buffer take();
  // As take(), without waiting: empty also when none is free.
  Buffer try_take();
  void abandon() noexcept override;

  std::size_t buffer_bytes() const noexcept;

 private:
  std::shared_ptr<Buffer::Slab> slab_;
};

}  // namespace icecore::flow
