#include "mon/decision_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>
#include <optional>

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/log.h"

namespace spirula::mon {
namespace {

constexpr std::uint32_t record_magic = 0x4e435344;      // "DSCN"
constexpr std::uint32_t checkpoint_magic = 0x54504b43;  // "CKPT"
constexpr std::uint32_t crc_seed = ~0u;
constexpr std::size_t header_bytes = 20;
constexpr std::size_t record_bytes_max = std::size_t{256} << 20;

/// Both kinds of file are made of the same frames: magic, length, number, crc32c of all of that and the payload.
Buffer frame(std::uint32_t magic, std::uint64_t number, ByteView payload) {
  Encoder encoder;
  encoder(magic);
  encoder(static_cast<std::uint32_t>(payload.size()));
  encoder(number);
  encoder(crc32c(crc32c(crc_seed, encoder.written()), payload));
  encoder.raw(payload);
  return encoder.take();
}

struct Frame {
  std::uint64_t number = 0;
  Buffer payload;
};

/// The frame at `offset`, if there is a whole and undamaged one.
std::optional<Frame> frame_at(std::uint32_t magic, const Buffer& bytes, std::size_t offset) {
  if (bytes.size() - offset < header_bytes) return std::nullopt;
  Decoder decoder(bytes.slice(offset, header_bytes));
  if (decoder.read<std::uint32_t>() != magic) return std::nullopt;
  std::size_t length = decoder.read<std::uint32_t>();
  Frame found;
  decoder(found.number);
  auto crc = decoder.read<std::uint32_t>();
  if (length > record_bytes_max || bytes.size() - offset - header_bytes < length) return std::nullopt;
  found.payload = bytes.slice(offset + header_bytes, length);
  if (crc32c(crc32c(crc_seed, bytes.view().subspan(offset, 16)), found.payload.view()) != crc) return std::nullopt;
  return found;
}

/// Whether any valid record newer than `sequence` starts after `offset`.
std::optional<std::size_t> next_valid(const Buffer& bytes, std::size_t offset, std::uint64_t sequence) {
  for (std::size_t at = offset; at + header_bytes <= bytes.size(); ++at) {
    std::uint32_t word;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    if (word != record_magic) continue;
    if (auto found = frame_at(record_magic, bytes, at); found && found->number > sequence) return at;
  }
  return std::nullopt;
}

std::string file_name(const char* kind, std::uint64_t sequence) {
  return fmt::format("{}.{:020}", kind, sequence);
}

std::optional<std::uint64_t> number_of(std::string_view name, std::string_view kind) {
  if (!name.starts_with(kind) || name.size() != kind.size() + 21 || name[kind.size()] != '.') return std::nullopt;
  std::uint64_t number = 0;
  auto [end, error] = std::from_chars(name.data() + kind.size() + 1, name.data() + name.size(), number);
  if (error != std::errc{} || end != name.data() + name.size()) return std::nullopt;
  return number;
}

struct Files {
  std::vector<std::uint64_t> checkpoints, logs;  // ascending
};

Result<Files> find_files(LogStorage& storage) {
  TRY(auto names, storage.list());
  Files files;
  for (const std::string& name : names) {
    if (auto number = number_of(name, "checkpoint")) files.checkpoints.push_back(*number);
    if (auto number = number_of(name, "log")) files.logs.push_back(*number);
  }
  std::ranges::sort(files.checkpoints);
  std::ranges::sort(files.logs);
  return files;
}

}  // namespace

Result<> DecisionLog::create(LogStorage& storage, const Buffer& initial) {
  TRY(auto files, find_files(storage));
  if (!files.checkpoints.empty() || !files.logs.empty()) return Errc::exists;
  return storage.write_whole(file_name("checkpoint", 0), frame(checkpoint_magic, 0, initial));
}

Result<std::unique_ptr<DecisionLog>> DecisionLog::open(std::unique_ptr<LogStorage> storage, Restored& restored) {
  TRY(auto files, find_files(*storage));
  bool found_checkpoint = false;
  for (auto number = files.checkpoints.rbegin(); number != files.checkpoints.rend() && !found_checkpoint; ++number) {
    auto name = file_name("checkpoint", *number);
    TRY(Buffer bytes, storage->read(name));
    if (auto found = frame_at(checkpoint_magic, bytes, 0); found && found->number == *number) {
      restored.checkpoint = found->payload;
      restored.checkpoint_sequence = *number;
      found_checkpoint = true;
    } else {
      restored.note += fmt::format("{} is damaged, going back to the one before; ", name);
    }
  }
  if (!found_checkpoint) {
    restored.problem =
        files.checkpoints.empty() ? "no checkpoint found: was cmon --mkfs run?" : "every checkpoint is damaged";
    return files.checkpoints.empty() ? Errc::not_found : Errc::malformed;
  }

  std::uint64_t sequence = restored.checkpoint_sequence;
  std::string file = file_name("log", sequence);
  std::uint64_t size = 0;
  for (std::size_t i = 0; i < files.logs.size(); ++i) {
    if (files.logs[i] < restored.checkpoint_sequence) continue;
    file = file_name("log", files.logs[i]);
    bool last_file = i + 1 == files.logs.size();
    if (files.logs[i] != sequence) {
      restored.problem = fmt::format("{} follows record {}: records are missing", file, sequence);
      return Errc::malformed;
    }
    TRY(Buffer bytes, storage->read(file));
    size = 0;
    while (size < bytes.size()) {
      auto record = frame_at(record_magic, bytes, size);
      if (record && record->number == sequence + 1) {
        ++sequence;
        restored.records.emplace_back(record->number, record->payload);
        size += header_bytes + record->payload.size();
        continue;
      }
      auto later = next_valid(bytes, size + 1, sequence);
      if (record || later || !last_file) {
        restored.problem = fmt::format("{} is damaged at offset {}", file, size);
        if (later) restored.problem += fmt::format(" (a valid record follows at offset {})", *later);
        return Errc::malformed;
      }
      restored.note +=
          fmt::format("{}: cut {} bytes of an unfinished record at offset {}; ", file, bytes.size() - size, size);
      TRY(storage->truncate(file, size));
      break;
    }
  }
  return std::unique_ptr<DecisionLog>(new DecisionLog(std::move(storage), sequence, std::move(file), size));
}

Result<> DecisionLog::append(const Buffer& record) {
  if (poisoned_) return Errc::outcome_unknown;
  if (record.size() > record_bytes_max) return Errc::too_large;
  Buffer bytes = frame(record_magic, sequence_ + 1, record);
  auto appended = storage_->append(file_, size_, bytes);
  if (appended) {
    ++sequence_;
    size_ += bytes.size();
    return {};
  }
  poisoned_ = true;
  if (appended.error() == Errc::outcome_unknown) return appended;
  // The write fell short of its end and nothing was synced: with the part cut off, the log is what it was.
  auto cut = storage_->truncate(file_, size_);
  if (cut || (size_ == 0 && to_wire(cut.error()) == -ENOENT)) poisoned_ = false;
  return appended;
}

Result<> DecisionLog::checkpoint(const Buffer& state) {
  if (poisoned_) return Errc::outcome_unknown;
  if (size_ == 0) return {};  // nothing was decided since the last one
  auto written = storage_->write_whole(file_name("checkpoint", sequence_), frame(checkpoint_magic, sequence_, state));
  if (!written) {
    if (written.error() == Errc::outcome_unknown) poisoned_ = true;
    return written;
  }
  file_ = file_name("log", sequence_);
  size_ = 0;
  drop_old();
  return {};
}

void DecisionLog::drop_old() {
  auto files = find_files(*storage_);
  if (!files || files->checkpoints.size() <= 2) return;
  std::uint64_t oldest_kept = files->checkpoints[files->checkpoints.size() - 2];
  for (std::uint64_t number : files->checkpoints)
    if (number < oldest_kept) {
      if (auto removed = storage_->remove(file_name("checkpoint", number)); !removed)
        log_warning("mon", "cannot remove an old checkpoint: {}", removed.error().message());
    }
  for (std::uint64_t number : files->logs)
    if (number < oldest_kept) {
      if (auto removed = storage_->remove(file_name("log", number)); !removed)
        log_warning("mon", "cannot remove an old log: {}", removed.error().message());
    }
}

}  // namespace spirula::mon
