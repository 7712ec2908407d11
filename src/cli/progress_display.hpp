// SPDX-License-Identifier: Apache-2.0
// Shows a running job on standard error: on a terminal one line that is redrawn in place at most ten times
// a second, elsewhere a line for each phase and one every ten seconds while bytes flow.
#pragma once

#include <functional>
#include <memory>

#include "base/clock.hpp"
#include "cli/console.hpp"
#include "job/progress.hpp"

namespace icecore::cli {

// A steady clock's reading; tests turn it themselves.
using Moment = std::function<base::Milliseconds()>;
Moment steady_moment();

enum class ProgressStyle { silent, lines, bar };

// What fits the console and the options.
ProgressStyle progress_style(const Console& console, bool quiet);

// A Progress that can be cleared away before something else is printed. Thread-safe as Progress demands.
class ProgressDisplay : public job::Progress {
 public:
  // Ends the line on the terminal, so that what `print` prints starts at its left edge, and shows nothing beside it. It
  // must not call the display.
  virtual void print_apart(const std::function<void()>& print) = 0;
  void clear() {
    print_apart([] {});
  }
};

// The console must outlive the display.
std::unique_ptr<ProgressDisplay> make_progress_display(ProgressStyle style, Console& console, Moment moment);

}  // namespace icecore::cli
