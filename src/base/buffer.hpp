// SPDX-License-Identifier: Apache-2.0
// Bytes on the heap that are not zero-filled first: for the data path, where every byte is written before
// it is read and clearing it would cost a pass over memory. Page-aligned, so that it may go to a file directly.
#pragma once

#include <cassert>
#include <memory>
#include <new>
#include <utility>

#include "base/bytes.hpp"

namespace icecore::base {

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t size)
      : data_(static_cast<std::byte*>(::operator new(size, std::align_val_t(k_alignment)))), size_(size) {}
  Buffer(Buffer&& other) noexcept : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  std::byte* data() noexcept { return data_.get(); }
  const std::byte* data() const noexcept { return data_.get(); }
  ByteSpan span() noexcept { return {data_.get(), size_}; }
  ByteView view() const noexcept { return {data_.get(), size_}; }
  // Forgets the bytes behind `size`; the memory stays.
  void shrink(std::size_t size) noexcept {
    assert(size <= size_);
    size_ = size;
  }

 private:
  static constexpr std::size_t k_alignment = 4096;
  struct Release {
    void operator()(std::byte* bytes) const noexcept { ::operator delete(bytes, std::align_val_t(k_alignment)); }
  };
  std::unique_ptr<std::byte, Release> data_;
  std::size_t size_ = 0;
};

}  // namespace icecore::base
