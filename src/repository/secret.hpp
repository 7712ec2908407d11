// SPDX-License-Identifier: Apache-2.0
// Bytes that must not leak: kept in sodium_malloc'd memory (guard pages, locked out of swap where the
// system allows it, left out of core dumps) and wiped when released.
#pragma once

#include <memory>
#include <string_view>

#include "base/bytes.hpp"

namespace icecore::repository {

class Secret {
 public:
  Secret() = default;
  // Uninitialised; the caller fills span().
  explicit Secret(std::size_t size);
  // A copy of `bytes`; the caller wipes the original (wipe()).
  static Secret copy_of(base::ByteView bytes);
  static Secret random(std::size_t size);

  std::size_t size() const noexcept { return size_; }
  base::ByteView view() const noexcept { return {data_.get(), size_}; }
  base::ByteSpan span() noexcept { return {data_.get(), size_}; }
  Secret clone() const { return copy_of(view()); }

 private:
  struct Release {
    void operator()(std::byte* bytes) const noexcept;
  };
  std::unique_ptr<std::byte, Release> data_;
  std::size_t size_ = 0;
};

// Overwrites bytes in a way the compiler cannot leave out.
void wipe(base::ByteSpan bytes) noexcept;

// Must have run before any other libsodium call; cheap to repeat. Throws Fault::internal.
void ensure_sodium();

}  // namespace icecore::repository
