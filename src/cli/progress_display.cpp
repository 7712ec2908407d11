// SPDX-License-Identifier: Apache-2.0
#include "cli/progress_display.hpp"

#include <string>

#include "base/guarded.hpp"
#include "cli/progress_line.hpp"

namespace icecore::cli {

namespace {

constexpr base::Milliseconds k_redraw_interval{100};
constexpr base::Milliseconds k_line_interval{10'000};

// What both displays keep; one lock around all of it.
struct Shown {
  ProgressState state;
  RateMeter rate;
  base::Milliseconds drawn_at{0};
  base::Milliseconds upload_told_at{0};
  bool line_is_drawn = false;

  void begin_phase(std::string_view domain, std::string_view name, base::Milliseconds moment) {
    state = {std::string(domain), std::string(name), std::nullopt, 0, std::move(state.upload)};
    rate = {};
    rate.update(0, moment);
    drawn_at = moment;
  }
  void take(const job::Transfer& transfer, base::Milliseconds moment) {
    state.transfer = transfer;
    state.bytes_per_second = rate.update(transfer.bytes_done, moment);
  }
  // True when the reason why it waits is another than before.
  bool take_upload(std::uint64_t bytes_done, std::uint64_t bytes_total, std::string_view waiting_for) {
    const bool news = waiting_for != (state.upload ? state.upload->waiting_for : "");
    state.upload = {bytes_done, bytes_total, std::string(waiting_for)};
    return news;
  }
  // True when the interval since the last drawing has passed.
  bool is_due(base::Milliseconds moment, base::Milliseconds interval) {
    if (moment - drawn_at < interval) return false;
    drawn_at = moment;
    return true;
  }
};

class BarDisplay final : public ProgressDisplay {
 public:
  BarDisplay(Console& console, Moment moment) : console_(console), moment_(std::move(moment)) {}

  void phase(std::string_view domain, std::string_view name) override {
    shown_.with([&](Shown& shown) {
      shown.begin_phase(domain, name, moment_());
      draw(shown);
    });
  }

  void transfer(const job::Transfer& transfer) override {
    shown_.with([&](Shown& shown) {
      const base::Milliseconds moment = moment_();
      if (!shown.is_due(moment, k_redraw_interval)) return;
      shown.take(transfer, moment);
      draw(shown);
    });
  }

  void upload(std::uint64_t bytes_done, std::uint64_t bytes_total, std::string_view waiting_for) override {
    shown_.with([&](Shown& shown) {
      const bool news = shown.take_upload(bytes_done, bytes_total, waiting_for);
      if (news && !waiting_for.empty()) {
        erase(shown);
        console_.err << format_upload_text(*shown.state.upload) << '\n';
      }
      if (news || shown.is_due(moment_(), k_redraw_interval)) draw(shown);
    });
  }

  void note(std::string_view domain, std::string_view text) override {
    shown_.with([&](Shown& shown) {
      erase(shown);
      console_.err << domain << ": " << text << '\n';
    });
  }

  void print_apart(const std::function<void()>& print) override {
    shown_.with([&](Shown& shown) {
      erase(shown);
      print();
    });
  }

 private:
  // A column stays free, so that no terminal wraps.
  void draw(Shown& shown) {
    const unsigned width = console_.width();
    console_.draw_line(format_progress_bar(shown.state, width > 1 ? width - 1 : 1));
    shown.line_is_drawn = true;
  }
  void erase(Shown& shown) {
    if (shown.line_is_drawn) console_.draw_line("");
    shown.line_is_drawn = false;
  }

  Console& console_;
  Moment moment_;
  base::Guarded<Shown> shown_;
};

class LineDisplay final : public ProgressDisplay {
 public:
  LineDisplay(Console& console, Moment moment) : console_(console), moment_(std::move(moment)) {}

  void phase(std::string_view domain, std::string_view name) override {
    shown_.with([&](Shown& shown) {
      shown.begin_phase(domain, name, moment_());
      console_.err << format_progress_text(shown.state) << '\n';
    });
  }

  void transfer(const job::Transfer& transfer) override {
    shown_.with([&](Shown& shown) {
      const base::Milliseconds moment = moment_();
      if (!shown.is_due(moment, k_line_interval)) return;
      shown.take(transfer, moment);
      console_.err << format_progress_text(shown.state) << '\n';
    });
  }

  void upload(std::uint64_t bytes_done, std::uint64_t bytes_total, std::string_view waiting_for) override {
    shown_.with([&](Shown& shown) {
      const bool news = shown.take_upload(bytes_done, bytes_total, waiting_for);
      if (!news && moment_() - shown.upload_told_at < k_line_interval) return;
      shown.upload_told_at = moment_();
      console_.err << format_upload_text(*shown.state.upload) << '\n';
    });
  }

  void note(std::string_view domain, std::string_view text) override {
    shown_.with([&](Shown&) { console_.err << domain << ": " << text << '\n'; });
  }

  void print_apart(const std::function<void()>& print) override {
    shown_.with([&](Shown&) { print(); });
  }

 private:
  Console& console_;
  Moment moment_;
  base::Guarded<Shown> shown_;
};

class SilentDisplay final : public ProgressDisplay {
 public:
  void phase(std::string_view, std::string_view) override {}
  void transfer(const job::Transfer&) override {}
  void note(std::string_view, std::string_view) override {}
  void print_apart(const std::function<void()>& print) override { print(); }
};

}  // namespace

Moment steady_moment() {
  return [watch = base::Stopwatch()] { return watch.elapsed(); };
}

ProgressStyle progress_style(const Console& console, bool quiet) {
  if (quiet) return ProgressStyle::silent;
  return console.err_is_terminal ? ProgressStyle::bar : ProgressStyle::lines;
}

std::unique_ptr<ProgressDisplay> make_progress_display(ProgressStyle style, Console& console, Moment moment) {
  if (style == ProgressStyle::bar) return std::make_unique<BarDisplay>(console, std::move(moment));
  if (style == ProgressStyle::lines) return std::make_unique<LineDisplay>(console, std::move(moment));
  return std::make_unique<SilentDisplay>();
}

}  // namespace icecore::cli
