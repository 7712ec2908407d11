// SPDX-License-Identifier: Apache-2.0
#include "repository/secret.hpp"

#include <sodium.h>

#include <algorithm>
#include <new>

#include "base/error.hpp"

namespace icecore::repository {

Secret::Secret(std::size_t size) : size_(size) {
  ensure_sodium();
  data_.reset(static_cast<std::byte*>(sodium_malloc(size)));
  if (!data_) throw std::bad_alloc();
}

Secret Secret::copy_of(base::ByteView bytes) {
  Secret secret(bytes.size());
  std::copy(bytes.begin(), bytes.end(), secret.span().begin());
  return secret;
}

Secret Secret::random(std::size_t size) {
  Secret secret(size);
  randombytes_buf(secret.span().data(), size);
  return secret;
}

void Secret::Release::operator()(std::byte* bytes) const noexcept { sodium_free(bytes); }

void wipe(base::ByteSpan bytes) noexcept { sodium_memzero(bytes.data(), bytes.size()); }

void ensure_sodium() {
  if (sodium_init() < 0) base::fail(base::Fault::internal, "libsodium does not start");
}

}  // namespace icecore::repository
