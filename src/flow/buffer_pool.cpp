// SPDX-License-Identifier: Apache-2.0
#include "flow/buffer_pool.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "base/error.hpp"

namespace icecore::flow {

namespace {

// Anonymous memory, page aligned (O_DIRECT could use it), in huge pages where the kernel agrees: fewer
// page faults and TLB misses than a heap block per buffer.
class Mapping {
 public:
  explicit Mapping(std::size_t bytes) : bytes_(bytes) {
    memory_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory_ == MAP_FAILED) base::fail_errno(errno, "reserve memory for buffers");
    ::madvise(memory_, bytes, MADV_HUGEPAGE);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { ::munmap(memory_, bytes_); }
  std::byte* data() const noexcept { return static_cast<std::byte*>(memory_); }

 private:
  std::size_t bytes_;
  void* memory_;
};

}  // namespace

struct Buffer::Slab {
  Slab(std::size_t bytes_each, std::size_t count) : buffer_bytes(bytes_each), mapping(bytes_each * count) {
    free.reserve(count);
    for (std::size_t i = count; i > 0; --i) free.push_back(mapping.data() + (i - 1) * bytes_each);
  }

  const std::size_t buffer_bytes;
  Mapping mapping;
  std::mutex mutex;
  std::condition_variable given_back;
  std::vector<std::byte*> free;
  bool abandoned = false;
};

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    reset();
    slab_ = std::move(other.slab_);
    data_ = std::exchange(other.data_, nullptr);
  }
  return *this;
}

void Buffer::reset() noexcept {
  if (data_ != nullptr) {
    {
      const std::lock_guard lock(slab_->mutex);
      slab_->free.push_back(data_);  // never grows: reserved for all buffers
    }
    slab_->given_back.notify_one();
  }
  data_ = nullptr;
  slab_.reset();
}

BufferPool::BufferPool(std::size_t buffer_bytes, std::size_t count)
    : slab_(std::make_shared<Buffer::Slab>(buffer_bytes, count)) {}

Buffer BufferPool::take() {
  std::unique_lock lock(slab_->mutex);
  slab_->given_back.wait(lock, [&] { return slab_->abandoned || !slab_->free.empty(); });
  if (slab_->abandoned) return {};
  std::byte* data = slab_->free.back();
  slab_->free.pop_back();
  return {slab_, data};
}

Buffer BufferPool::try_take() {
  const std::lock_guard lock(slab_->mutex);
  if (slab_->abandoned || slab_->free.empty()) return {};
  std::byte* data = slab_->free.back();
  slab_->free.pop_back();
  return {slab_, data};
}

void BufferPool::abandon() noexcept {
  {
    const std::lock_guard lock(slab_->mutex);
    slab_->abandoned = true;
  }
  slab_->given_back.notify_all();
}

std::size_t BufferPool::buffer_bytes() const noexcept { return slab_->buffer_bytes; }

}  // namespace icecore::flow
