// SPDX-License-Identifier: Apache-2.0
// A stream that lets through only what no terminal obeys (base/printable.hpp). Whole texts go in at once, so that no
// letter is cut. Threads: as the stream below.
#pragma once

#include <ostream>
#include <streambuf>

namespace icecore::cli {

class PrintableStream : public std::ostream {
 public:
  // `below` outlives it.
  explicit PrintableStream(std::ostream& below) : std::ostream(nullptr), filter_(below) { rdbuf(&filter_); }

 private:
  class Filter : public std::streambuf {
   public:
    explicit Filter(std::ostream& below) : below_(below) {}

   private:
    std::streamsize xsputn(const char* text, std::streamsize size) override;
    int overflow(int letter) override;
    int sync() override;

    std::ostream& below_;
  };

  Filter filter_;
};

}  // namespace icecore::cli
