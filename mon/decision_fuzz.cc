#include <cstdint>

#include "base/buffer.h"
#include "base/check.h"
#include "mon/command.h"
#include "mon/decision_log.h"
#include "mon/state.h"
#include "mon/test_storage.h"

namespace {

using namespace spirula;

/// Bytes of a good log's files changed, four input bytes a change, perhaps a file cut short: it opens with a run of
/// what was appended, or says that it is damaged.
void damage_a_log(ByteView changes) {
  mon::MemoryStorage::Disk disk;
  std::vector<Buffer> records;
  {
    mon::MemoryStorage storage(disk);
    CHECK(mon::DecisionLog::create(storage, Buffer::copy_of("a state")));
    mon::DecisionLog::Restored fresh;
    auto log = mon::DecisionLog::open(std::make_unique<mon::MemoryStorage>(disk), fresh);
    CHECK(log.has_value());
    for (int i = 0; i < 6; ++i) {
      records.push_back(Buffer::copy_of(std::string(static_cast<std::size_t>(i * 7), static_cast<char>('a' + i))));
      CHECK((*log)->append(records.back()));
      if (i == 3) CHECK((*log)->checkpoint(Buffer::copy_of("a later state")));
    }
  }
  for (; changes.size() >= 4; changes = changes.subspan(4)) {
    auto byte = [&](std::size_t i) { return std::to_integer<std::size_t>(changes[i]); };
    auto& file = std::next(disk.files.begin(), static_cast<std::ptrdiff_t>(byte(0) % disk.files.size()))->second;
    std::size_t at = byte(1) | (byte(2) & 0x7f) << 8;
    if (byte(2) & 0x80)
      file.resize(std::min(file.size(), at));
    else if (at < file.size())
      file[at] = static_cast<char>(byte(3));
  }
  mon::DecisionLog::Restored restored;
  auto log = mon::DecisionLog::open(std::make_unique<mon::MemoryStorage>(disk), restored);
  if (!log) {
    CHECK(!restored.problem.empty() || log.error() == make_error_code(Errc::not_found), "it says what is wrong");
    return;
  }
  for (auto& [number, record] : restored.records) CHECK(number <= records.size() && record == records[number - 1]);
}

}  // namespace

/// What a damaged disk or a client can hand the monitor: a decision, a checkpoint, a command, the files of a log.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Buffer bytes = Buffer::copy_of(std::as_bytes(std::span(data + 1, size - 1)));
  switch (data[0] % 4) {
    case 0:
      if (auto decision = decode<mon::Decision>(bytes)) {
        mon::State state;
        auto before = state.save();
        if (!state.apply(*decision)) CHECK(state.save() == before, "a refused decision changes nothing");
      }
      break;
    case 1:
      if (auto state = mon::State::load(bytes)) {
        auto again = mon::State::load(state->save());
        CHECK(again && again->save() == state->save(), "what is loaded is saved the same");
      }
      break;
    case 2: {
      mon::ParsedCommand command;
      mon::CommandTable::Problem problem;
      if (!mon::all_commands().parse(bytes.to_string(), command, problem))
        CHECK(problem.result < 0 && !problem.text.empty());
      break;
    }
    case 3:
      damage_a_log(bytes);
      break;
  }
  return 0;
}
