// SPDX-License-Identifier: Apache-2.0
#include "repository/compression.hpp"

#include <zstd.h>

#include <new>

#include "base/error.hpp"

namespace icecore::repository {

namespace {

void set(ZSTD_CCtx* context, ZSTD_cParameter parameter, int value) {
  const std::size_t result = ZSTD_CCtx_setParameter(context, parameter, value);
  if (ZSTD_isError(result)) {
    base::fail(base::Fault::internal, "zstd parameter {}: {}", static_cast<int>(parameter), ZSTD_getErrorName(result));
  }
}

void tune(ZSTD_CCtx* context, int level) {
  set(context, ZSTD_c_compressionLevel, level);
  if (level == k_compression_level_default) {
    // zstd's level 3 with tables of 256 and 128 KiB, which stay in a core's own cache beside the frame: 0.8 of
    // its CPU for 0.6 % more bytes (measured on frames of 2 MiB; FORMAT.md leaves this open to any writer).
    set(context, ZSTD_c_strategy, ZSTD_dfast);
    set(context, ZSTD_c_windowLog, 21);
    set(context, ZSTD_c_hashLog, 16);
    set(context, ZSTD_c_chainLog, 15);
    set(context, ZSTD_c_minMatch, 5);
  }
  set(context, ZSTD_c_contentSizeFlag, 1);
  set(context, ZSTD_c_checksumFlag, 0);  // blocks are compared with their names instead
}

}  // namespace

Compressor::Compressor(int level) : context_(ZSTD_createCCtx()) {
  if (level < 1 || level > k_compression_level_max) {
    base::fail(base::Fault::usage, "there is no compression level {}; use 1 to {}", level, k_compression_level_max);
  }
  if (!context_) throw std::bad_alloc();
  tune(context_.get(), level);
}

void Compressor::Free::operator()(ZSTD_CCtx_s* context) const noexcept { ZSTD_freeCCtx(context); }

base::ByteView Compressor::compress(base::ByteView raw, base::Buffer& out) {
  if (out.size() < ZSTD_compressBound(raw.size())) out = base::Buffer(ZSTD_compressBound(raw.size()));
  const std::size_t size = ZSTD_compress2(context_.get(), out.data(), out.size(), raw.data(), raw.size());
  if (ZSTD_isError(size)) base::fail(base::Fault::internal, "zstd: {}", ZSTD_getErrorName(size));
  if (size >= raw.size() - raw.size() / 16) return {};
  return out.view().first(size);
}

Decompressor::Decompressor() : context_(ZSTD_createDCtx()) {
  if (!context_) throw std::bad_alloc();
}

void Decompressor::Free::operator()(ZSTD_DCtx_s* context) const noexcept { ZSTD_freeDCtx(context); }

bool Decompressor::decompress(base::ByteView compressed, base::ByteSpan out) {
  const std::size_t size =
      ZSTD_decompressDCtx(context_.get(), out.data(), out.size(), compressed.data(), compressed.size());
  return !ZSTD_isError(size) && size == out.size();
}

}  // namespace icecore::repository
