// SPDX-License-Identifier: Apache-2.0
// zstd, with its contexts kept between frames. The only file pair that knows zstd.
//
// Threads: an object of these belongs to one thread at a time.
#pragma once

#include <memory>

#include "base/buffer.hpp"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace icecore::repository {

// The default is tuned for frames (see compression.cpp); the others are zstd's own levels.
constexpr int k_compression_level_default = 3;
constexpr int k_compression_level_max = 19;

class Compressor {
 public:
  // Throws Fault::usage unless 1 <= level <= k_compression_level_max.
  explicit Compressor(int level);
  // Compresses into `out` (grown as needed, kept between calls); the view points into it. Empty: the
  // result would be no smaller than 15/16 of `raw`, so store that as it is.
  base::ByteView compress(base::ByteView raw, base::Buffer& out);

 private:
  struct Free {
    void operator()(ZSTD_CCtx_s* context) const noexcept;
  };
  std::unique_ptr<ZSTD_CCtx_s, Free> context_;
};

class Decompressor {
 public:
  Decompressor();
  // Fills `out` exactly. False: the data is damaged or not of that size. Never writes beyond `out`.
  [[nodiscard]] bool decompress(base::ByteView compressed, base::ByteSpan out);

 private:
  struct Free {
    void operator()(ZSTD_DCtx_s* context) const noexcept;
  };
  std::unique_ptr<ZSTD_DCtx_s, Free> context_;
};

}  // namespace icecore::repository
