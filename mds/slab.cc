#include "mds/slab.h"

#include <cstdlib>

#include "base/check.h"

namespace spirula::mds {

/// At the start of its memory, which is aligned to its size: so an object's block is found by its address.
struct alignas(16) Slab::Block {
  Slab* owner;
  Block *before, *after;  ///< among those with room
  Free* free;             ///< given back
  std::size_t fresh;      ///< from here on nothing was ever taken
  std::size_t used;

  bool has_room(std::size_t object_bytes) const { return free || fresh + object_bytes <= block_bytes; }
};

void Slab::link(Block& block) {
  block.before = nullptr;
  block.after = open_;
  if (open_) open_->before = &block;
  open_ = &block;
}

void Slab::unlink(Block& block) {
  (block.before ? block.before->after : open_) = block.after;
  if (block.after) block.after->before = block.before;
}

void Slab::add_block() {
  void* memory = std::aligned_alloc(block_bytes, block_bytes);
  if (!memory) throw std::bad_alloc();
  ++blocks_;
  link(*new (memory) Block{this, nullptr, nullptr, nullptr, sizeof(Block), 0});
}

void* Slab::take() {
  if (!open_) add_block();
  Block& block = *open_;
  void* object = block.free;
  if (block.free) {
    block.free = block.free->next;
  } else {
    object = reinterpret_cast<std::byte*>(&block) + block.fresh;
    block.fresh += object_bytes_;
  }
  ++block.used;
  if (!block.has_room(object_bytes_)) unlink(block);
  return object;
}

void Slab::give(void* object) {
  auto address = reinterpret_cast<std::uintptr_t>(object);
  Block& block = *reinterpret_cast<Block*>(address & ~(block_bytes - 1));
  CHECK(block.owner == this && block.used);
  if (!block.has_room(object_bytes_)) link(block);
  block.free = new (object) Free{block.free};
  // The last one with room stays: one object that comes and goes must not move a block each time.
  if (--block.used || (open_ == &block && !block.after)) return;
  unlink(block);
  std::free(&block);
  --blocks_;
}

}  // namespace spirula::mds
