// SPDX-License-Identifier: Apache-2.0
#include "cli/explain_output.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "base/bytes.hpp"
#include "cli/program.hpp"
#include "cli/table.hpp"

namespace icecore::cli {

using hypervisor::Verdict;
using job::ExplainedDisk;
using job::ExplainedLayer;

namespace {

using Facts = std::vector<std::pair<std::string, std::string>>;

// Continues the fact above it after the first.
void add_all(Facts& facts, const std::string& name, const std::vector<std::string>& values) {
  for (const std::string& value : values) facts.emplace_back(&value == &values.front() ? name : "", value);
}

std::string format_layer(const ExplainedLayer& layer) {
  const disk::ImageInfo& image = layer.image;
  std::string text =
      fmt::format("{}  {}, {} of {}, {}", image.path.string(), image.format, base::format_size(image.actual_size),
                  base::format_size(image.virtual_size), layer.written ? "written to" : "only read");
  if (!layer.also_used_by.empty()) text += fmt::format(", also used by {}", fmt::join(layer.also_used_by, ", "));
  return text;
}

std::string format_room(const job::OverlayRoom& room) {
  return fmt::format("{} free, {} of them for what the guest writes and its merge; at most {} can be needed",
                     base::format_size(room.free_bytes), base::format_size(room.usable_bytes),
                     base::format_size(room.needed_max));
}

std::string format_reading(const ExplainedDisk& disk) {
  if (disk.read_bytes) return fmt::format("{}, and a sample of the rest", base::format_size(*disk.read_bytes));
  return fmt::format("at most {}, which is allocated", base::format_size(disk.read_bytes_max));
}

// New blocks are compressed: they take less.
std::string format_repository(const job::Explanation& explanation) {
  if (explanation.repository.empty()) return explanation.repository_note;
  const std::string needed = base::format_size(explanation.read_bytes_max());
  if (!explanation.repository_free_bytes)
    return fmt::format("{}, where at most {} is new", explanation.repository, needed);
  return fmt::format("{}, where at most {} is new, and {} free", explanation.repository, needed,
                     base::format_size(*explanation.repository_free_bytes));
}

std::string format_memory(const job::MemoryRoom& memory) {
  return fmt::format("up to {} saved to a file in '{}', where {} are free; the guest {} meanwhile",
                     base::format_size(memory.needed_max), memory.folder.string(), base::format_size(memory.free_bytes),
                     memory.pauses ? "stands still" : "runs on");
}

Facts disk_facts(const ExplainedDisk& disk) {
  Facts facts;
  const std::string verdict(to_string(disk.verdict.verdict));
  facts.emplace_back("verdict", disk.verdict.reason.empty() ? verdict : verdict + ": " + disk.verdict.reason);
  if (!disk.source.empty()) facts.emplace_back("source", disk.source);
  std::vector<std::string> chain;
  for (const ExplainedLayer& layer : disk.chain) chain.push_back(format_layer(layer));
  add_all(facts, "chain", chain);
  if (!disk.overlay.empty()) {
    facts.emplace_back("overlay", (disk.room.folder / disk.overlay).string());
    facts.emplace_back("room", format_room(disk.room));
  }
  if (!disk.change_map.empty()) facts.emplace_back("change map", disk.change_map + ": " + disk.change_map_reason);
  if (!disk.chain.empty()) facts.emplace_back("to read", format_reading(disk));
  add_all(facts, "note", disk.notes);
  return facts;
}

Facts domain_facts(const job::Explanation& explanation) {
  Facts facts = {
      {"domain", explanation.domain},
      {"state", std::string(to_string(explanation.state))},
      {"mode", std::string(to_string(explanation.mode))},
      {"consistency", fmt::format("{}: {}", to_string(explanation.consistency), explanation.consistency_reason)}};
  if (explanation.freeze_limit_ms > 0)
    facts.emplace_back("freeze limit", fmt::format("{} ms", explanation.freeze_limit_ms));
  add_all(facts, "firmware", explanation.firmware);
  facts.emplace_back("repository", format_repository(explanation));
  if (explanation.memory && !explanation.memory->folder.empty())
    facts.emplace_back("memory", format_memory(*explanation.memory));
  if (!explanation.memory_note.empty()) facts.emplace_back("note", explanation.memory_note);
  add_all(facts, "no full state", explanation.full_state_blockers);
  return facts;
}

base::Json memory_record(const job::Explanation& explanation) {
  if (!explanation.memory) return nullptr;
  const job::MemoryRoom& memory = *explanation.memory;
  return {{"folder", memory.folder.string()},
          {"needed_bytes_max", memory.needed_max},
          {"free_bytes", memory.free_bytes},
          {"pauses", memory.pauses}};
}

base::Json layer_record(const ExplainedLayer& layer) {
  return {{"path", layer.image.path.string()},
          {"format", layer.image.format},
          {"virtual_size", layer.image.virtual_size},
          {"allocated_bytes", layer.image.actual_size},
          {"written", layer.written},
          {"also_used_by", layer.also_used_by}};
}

base::Json disk_record(const ExplainedDisk& disk) {
  base::Json chain = base::Json::array();
  for (const ExplainedLayer& layer : disk.chain) chain.push_back(layer_record(layer));
  base::Json overlay = nullptr;
  if (!disk.overlay.empty()) {
    overlay = {{"path", (disk.room.folder / disk.overlay).string()},
               {"free_bytes", disk.room.free_bytes},
               {"usable_bytes", disk.room.usable_bytes},
               {"needed_bytes_max", disk.room.needed_max}};
  }
  return {{"target", disk.target},
          {"bus", disk.bus},
          {"source", disk.source},
          {"verdict", std::string(to_string(disk.verdict.verdict))},
          {"reason", disk.verdict.reason},
          {"chain", chain},
          {"overlay", overlay},
          {"change_map", disk.change_map},
          {"change_map_reason", disk.change_map_reason},
          {"parent", disk.parent.empty() ? base::Json() : base::Json(disk.parent)},
          {"read_bytes", disk.read_bytes ? base::Json(*disk.read_bytes) : base::Json()},
          {"read_bytes_max", disk.read_bytes.value_or(disk.read_bytes_max)},
          {"notes", disk.notes}};
}

}  // namespace

void print_explanation(Console& console, const job::Explanation& explanation) {
  console.out << format_facts(domain_facts(explanation));
  for (const ExplainedDisk& disk : explanation.disks) {
    console.print("");
    console.print(fmt::format("disk {}{}", disk.target, disk.bus.empty() ? "" : " (" + disk.bus + ")"));
    console.out << format_facts(disk_facts(disk));
  }
  for (const job::Advice& advice : explanation.advice) {
    console.print(fmt::format("\nadvice: {}\n  try: {}", advice.text, advice.hint));
  }
  console.print("");
  if (explanation.would_work()) console.print("A backup would begin.");
  for (const base::Error& refusal : explanation.refusals) {
    console.print(fmt::format("A backup would be refused: {}", refusal.what()));
    if (!refusal.hint().empty()) console.print("  try: " + refusal.hint());
  }
}

base::Json explanation_record(const job::Explanation& explanation) {
  base::Json disks = base::Json::array();
  for (const ExplainedDisk& disk : explanation.disks) disks.push_back(disk_record(disk));
  base::Json advice = base::Json::array();
  for (const job::Advice& entry : explanation.advice) advice.push_back({{"text", entry.text}, {"hint", entry.hint}});
  base::Json refusals = base::Json::array();
  for (const base::Error& refusal : explanation.refusals) refusals.push_back(error_record(refusal));
  return {{"domain", explanation.domain},
          {"uuid", explanation.uuid},
          {"state", std::string(to_string(explanation.state))},
          {"would_work", explanation.would_work()},
          {"mode", std::string(to_string(explanation.mode))},
          {"consistency", std::string(to_string(explanation.consistency))},
          {"consistency_reason", explanation.consistency_reason},
          {"freeze_limit_ms", explanation.freeze_limit_ms},
          {"firmware", explanation.firmware},
          {"repository", explanation.repository.empty() ? base::Json() : base::Json(explanation.repository)},
          {"repository_note", explanation.repository_note},
          {"repository_free_bytes",
           explanation.repository_free_bytes ? base::Json(*explanation.repository_free_bytes) : base::Json()},
          {"read_bytes_max", explanation.read_bytes_max()},
          {"memory", memory_record(explanation)},
          {"memory_note", explanation.memory_note},
          {"full_state_blockers", explanation.full_state_blockers},
          {"disks", disks},
          {"advice", advice},
          {"refusals", refusals}};
}

std::vector<JsonField> explanation_fields() {
  return {
      {"domain, uuid, state", "the domain, and whether it runs now"},
      {"would_work", "true when a backup would begin"},
      {"mode", "disk-only, full-state, offline or copy"},
      {"consistency, consistency_reason", "what the point would be, and why"},
      {"freeze_limit_ms", "the longest the guest would be frozen; 0: not at all"},
      {"firmware[]", "NVRAM, TPM state and boot files the domain has, and what of them would not be in the point"},
      {"repository, repository_note", "that was asked, or null and why not"},
      {"repository_free_bytes", "where new blocks are written first; null: not on this host"},
      {"read_bytes_max", "of all disks, and so the most that can be new"},
      {"memory", "folder, needed_bytes_max, free_bytes, pauses: where it would be saved; null: not asked for, or off"},
      {"memory_note", "why its memory would be left out, where that may be, or what to know of it"},
      {"full_state_blockers[]", "why its memory could not be saved"},
      {"disks[].target, bus, source", "each disk, and its image as the XML names it"},
      {"disks[].verdict, reason", "include, skip, refuse or busy; why, but for include"},
      {"disks[].chain[]", "its images, top first: path, format, virtual_size, allocated_bytes"},
      {"disks[].chain[].written, also_used_by[]", "whether it is written to; other domains that use it"},
      {"disks[].overlay", "path (a * for the run), free_bytes, usable_bytes, needed_bytes_max; null: none"},
      {"disks[].change_map, change_map_reason", "how changes would be found, and why so"},
      {"disks[].parent", "the point they would be counted from; null: none, or not asked"},
      {"disks[].read_bytes, read_bytes_max", "what the bitmap marks, null: not known; and what is allocated"},
      {"disks[].notes[]", "what a person should know of it"},
      {"advice[]", "text, hint: what may go wrong all the same"},
      {"refusals[]", "why a backup would not begin: fault, message, hint"}};
}

}  // namespace icecore::cli
