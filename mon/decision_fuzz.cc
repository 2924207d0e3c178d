#include <cstdint>

#include "base/buffer.h"
#include "base/check.h"
#include "mon/command.h"
#include "mon/state.h"

/// What a damaged disk or a client can hand the monitor: a decision, a checkpoint, a command.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace spirula;
  if (size == 0) return 0;
  Buffer bytes = Buffer::copy_of(std::as_bytes(std::span(data + 1, size - 1)));
  switch (data[0] % 3) {
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
  }
  return 0;
}
