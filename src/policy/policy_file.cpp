// SPDX-License-Identifier: Apache-2.0
#include "policy/policy_file.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/bytes.hpp"
#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/shell_word.hpp"
#include "policy/element_reader.hpp"

namespace icecore::policy {

namespace {

constexpr std::uint64_t k_file_size_max = base::k_mib;
constexpr NumberRange k_freeze_limit_ms = {100, 600'000};
constexpr NumberRange k_recheck_per_mille = {0, 1000};
constexpr NumberRange k_compression_level = {1, 19};
constexpr NumberRange k_free_percent = {0, 90};
constexpr NumberRange k_overlay_age_minutes = {1, 100'000};
constexpr NumberRange k_keep_local = {0, 1000};
constexpr NumberRange k_keep = {1, 100'000};
constexpr std::size_t k_name_letters_max = 64;

bool is_policy_name(const std::string& name) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  const auto is_allowed = [&](char c) { return is_plain(c) || c == '.' || c == '_' || c == '-'; };
  return name.size() <= k_name_letters_max && is_plain(name.front()) &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

std::string read_name(ElementReader& reader) {
  std::string name = reader.required_text("name");
  if (!name.empty() && !is_policy_name(name)) {
    reader.report(
        fmt::format("name=\"{}\" may hold letters, digits, '.', '_' and '-', at most {}, and starts with a "
                    "letter or digit",
                    name, k_name_letters_max));
  }
  return name;
}

// The values of one attribute of all <include> or <exclude> children; `seen` finds the same one twice.
struct RuleList {
  ElementReader& reader;
  std::vector<Problem>& problems;
  std::string_view attribute;
  std::vector<std::pair<std::string, unsigned>> seen;

  std::vector<std::string> read(std::string_view element) {
    std::vector<std::string> values;
    for (const Element* child : reader.children(element)) {
      ElementReader rule(*child, problems);
      const std::string value = rule.required_text(attribute);
      rule.finish();
      if (value.empty()) continue;
      report_second(value, *child);
      values.push_back(value);
    }
    return values;
  }

  void report_second(const std::string& value, const Element& element) {
    const auto first = std::find_if(seen.begin(), seen.end(), [&](const auto& entry) { return entry.first == value; });
    if (first != seen.end()) {
      reader.report_at(element.line, fmt::format("'{}' is already named on line {}", value, first->second));
    }
    seen.emplace_back(value, element.line);
  }
};

DomainRules read_domains(const Element& element, std::vector<Problem>& problems) {
  ElementReader reader(element, problems);
  RuleList rules{reader, problems, "name", {}};
  DomainRules domains{rules.read("include"), rules.read("exclude"),
                      reader.optional_word("group", {"yes", "no"}) == "yes"};
  reader.finish();
  if (reader.children("include").empty()) reader.report("<domains> needs at least one <include name=\"...\"/>");
  return domains;
}

void read_disks(const Element& element, std::vector<Problem>& problems, Policy& policy) {
  ElementReader reader(element, problems);
  RuleList rules{reader, problems, "target", {}};
  policy.backup.include_disks = rules.read("include");
  policy.backup.exclude_disks = rules.read("exclude");
  reader.finish();
}

void read_capture(const Element& element, std::vector<Problem>& problems, Policy& policy) {
  ElementReader reader(element, problems);
  const std::string mode = reader.required_word("mode", {"disk-only", "full-state", "full-state-try"});
  policy.backup.full_state = mode == "full-state"       ? job::FullState::required
                             : mode == "full-state-try" ? job::FullState::attempt
                                                        : job::FullState::off;
  const std::string pause = reader.optional_text("pause").value_or("no");
  if (pause != "yes" && pause != "no") reader.report(fmt::format("pause=\"{}\" is neither yes nor no", pause));
  policy.backup.pause = pause == "yes";
  reader.finish();
}

// As on the command line: while the memory of one is saved the others would stand frozen.
void require_no_memory_of_group(const Element& capture, ElementReader& reader, const Policy& policy) {
  if (!policy.domains.group || policy.backup.full_state == job::FullState::off) return;
  reader.report_at(
      capture.line,
      "a full state and <domains group=\"yes\"> exclude each other, since memory is saved of one domain at "
      "a time: leave out group=\"yes\", or use mode=\"disk-only\"");
}

void read_changes(const Element& element, std::vector<Problem>& problems, Policy& policy) {
  ElementReader reader(element, problems);
  const std::string map = reader.required_word("map", {"auto", "bitmap", "scan", "layer"});
  policy.backup.change_map = map == "bitmap"  ? job::ChangeMap::bitmap
                             : map == "scan"  ? job::ChangeMap::scan
                             : map == "layer" ? job::ChangeMap::layer
                                              : job::ChangeMap::automatic;
  if (const auto recheck = reader.optional_number("recheck-per-mille", k_recheck_per_mille))
    policy.backup.recheck_per_mille = static_cast<int>(*recheck);
  reader.finish();
}

void read_quiesce(const Element& element, std::vector<Problem>& problems, Policy& policy) {
  ElementReader reader(element, problems);
  const std::string rule = reader.required_word("rule", {"required", "try", "off"});
  policy.backup.quiesce = rule == "required" ? job::Quiesce::required
                          : rule == "off"    ? job::Quiesce::off
                                             : job::Quiesce::attempt;
  policy.backup.freeze_limit =
      base::Milliseconds(reader.optional_number("freeze-limit-ms", k_freeze_limit_ms).value_or(0));
  reader.finish();
}

void read_repository(const Element& element, std::vector<Problem>& problems, Policy& policy) {
  ElementReader reader(element, problems);
  RepositoryPlace& place = policy.repository;
  place.url = reader.required_text("url");
  const bool absolute = place.url.starts_with('/') || place.url.starts_with("file:///");
  if (!place.url.empty() && !absolute && !place.url.starts_with("sftp://")) {
    reader.report(
        fmt::format("url=\"{}\" is neither an absolute path nor file:///path nor sftp://host/path", place.url));
  }
  place.key_file = reader.optional_path("key-file").value_or("");
  place.passphrase_file = reader.optional_path("passphrase-file").value_or("");
  if (!place.key_file.empty() && !place.passphrase_file.empty()) {
    reader.report("<repository> has both 'key-file' and 'passphrase-file'; one unlocks it");
  }
  reader.finish();
}

void read_compression(const Element& element, std::vector<Problem>& problems, Policy& policy) {
  ElementReader reader(element, problems);
  if (reader.required_text("level").empty()) return reader.finish();
  policy.backup.compression_level = static_cast<int>(reader.optional_number("level", k_compression_level).value_or(0));
  reader.finish();
}

void read_overlay(const Element& element, std::vector<Problem>& problems, Policy& policy) {
  ElementReader reader(element, problems);
  policy.backup.overlay_folder = reader.optional_path("folder").value_or("");
  policy.backup.device_overlay_folder = reader.optional_path("device-folder").value_or("");
  if (const auto percent = reader.optional_number("free-percent-min", k_free_percent)) {
    policy.backup.overlay_free_share_min = *percent / 100.0;
  }
  if (const auto minutes = reader.optional_number("age-max-minutes", k_overlay_age_minutes)) {
    policy.backup.overlay_age_max = std::chrono::minutes(*minutes);
  }
  reader.finish();
}

void read_within(ElementReader& reader, const std::string& text, Retention& keep) {
  try {
    keep.keep_within = parse_span(text);
  } catch (const base::Error& error) {
    reader.report(fmt::format("keep-within: {}", error.what()));
  }
}

// Reads a value in the form the command line has it.
template <typename Parse>
void read_as_typed(ElementReader& reader, std::string_view attribute, Parse&& parse) {
  const auto text = reader.optional_text(attribute);
  if (!text) return;
  try {
    parse(*text);
  } catch (const base::Error& error) {
    reader.report(fmt::format("{}: {}", attribute, error.what()));
  }
}

void read_staging(const Element& element, std::vector<Problem>& problems, Policy& policy) {
  ElementReader reader(element, problems);
  Staging staging;
  staging.folder = reader.optional_path("folder").value_or("");
  read_as_typed(reader, "limit", [&](const std::string& text) {
    const auto size = base::parse_size(text);
    if (!size || *size == 0) base::fail(base::Fault::usage, "'{}' is no size such as 500M or 200G", text);
    staging.bytes_max = *size;
  });
  read_as_typed(reader, "upload-limit",
                [&](const std::string& text) { policy.upload.limit = staging::parse_upload_limit(text); });
  policy.upload.keep_local = reader.optional_number("keep-local", k_keep_local);
  if (reader.optional_text("wait")) policy.wait_for_upload = reader.required_word("wait", {"yes", "no"}) != "no";
  reader.finish();
  policy.staging = staging;
}

void read_retention(const Element& element, std::vector<Problem>& problems, Policy& policy) {
  ElementReader reader(element, problems);
  Retention& keep = policy.retention;
  keep.keep_last = reader.optional_number("keep-last", k_keep).value_or(0);
  keep.keep_hourly = reader.optional_number("keep-hourly", k_keep).value_or(0);
  keep.keep_daily = reader.optional_number("keep-daily", k_keep).value_or(0);
  keep.keep_weekly = reader.optional_number("keep-weekly", k_keep).value_or(0);
  keep.keep_monthly = reader.optional_number("keep-monthly", k_keep).value_or(0);
  keep.keep_yearly = reader.optional_number("keep-yearly", k_keep).value_or(0);
  if (const auto within = reader.optional_text("keep-within")) read_within(reader, *within, keep);
  reader.finish();
}

Policy read_policy(const Element& root, std::vector<Problem>& problems) {
  Policy policy;
  ElementReader reader(root, problems);
  policy.name = read_name(reader);
  if (const Element* domains = reader.required_child("domains")) policy.domains = read_domains(*domains, problems);
  if (const Element* disks = reader.optional_child("disks")) read_disks(*disks, problems, policy);
  if (const Element* capture = reader.optional_child("capture")) {
    read_capture(*capture, problems, policy);
    require_no_memory_of_group(*capture, reader, policy);
  }
  if (const Element* changes = reader.optional_child("changes")) read_changes(*changes, problems, policy);
  if (const Element* quiesce = reader.optional_child("quiesce")) read_quiesce(*quiesce, problems, policy);
  if (const Element* repository = reader.required_child("repository")) read_repository(*repository, problems, policy);
  if (const Element* compression = reader.optional_child("compression"))
    read_compression(*compression, problems, policy);
  if (const Element* overlay = reader.optional_child("overlay")) read_overlay(*overlay, problems, policy);
  if (const Element* staging = reader.optional_child("staging")) read_staging(*staging, problems, policy);
  if (const Element* retention = reader.optional_child("retention")) read_retention(*retention, problems, policy);
  reader.finish();
  return policy;
}

void sort_by_line(std::vector<Problem>& problems) {
  std::stable_sort(problems.begin(), problems.end(),
                   [](const Problem& a, const Problem& b) { return a.line < b.line; });
}

}  // namespace

CheckedPolicy check_policy(std::string_view text) {
  XmlTree tree = parse_xml(text);
  if (!tree.root) return {{}, std::move(tree.problems)};
  if (tree.root->name != "policy") {
    return {{}, {{tree.root->line, fmt::format("the root element is <{}>, not <policy>", tree.root->name)}}};
  }
  CheckedPolicy checked;
  Policy policy = read_policy(*tree.root, checked.problems);
  if (checked.problems.empty()) checked.problems = validate(text, policy_schema());
  if (checked.problems.empty()) checked.policy = std::move(policy);
  sort_by_line(checked.problems);
  return checked;
}

CheckedPolicy check_policy_file(const std::filesystem::path& path) {
  return check_policy(base::to_string(base::read_file(path, k_file_size_max)));
}

Policy load_policy(const std::filesystem::path& path) {
  CheckedPolicy checked = check_policy_file(path);
  if (checked.policy) return std::move(*checked.policy);
  const Problem& first = checked.problems.front();
  const std::string more =
      checked.problems.size() > 1 ? fmt::format(" (and {} more)", checked.problems.size() - 1) : "";
  throw base::Error(base::Fault::usage, fmt::format("{}:{}: {}{}", path.string(), first.line, first.text, more))
      .add_hint("icecore policy check " + base::shell_word(path.string()));
}

}  // namespace icecore::policy
