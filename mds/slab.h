#pragma once
#include <cstddef>
#include <cstdint>
#include <new>

namespace spirula::mds {

/// Memory for objects of one size, in blocks that hold nothing else; a block that is empty goes back. Inodes and names
/// live long, and what is on its way to the store between them does not: out of one heap, its holes would stay. Belongs
/// to a thread and lives as long: the last block never goes back.
class Slab {
 public:
  explicit constexpr Slab(std::size_t object_bytes) : object_bytes_((object_bytes + 15) / 16 * 16) {}
  void* take();
  /// CHECKs that this slab gave it.
  void give(void* object);
  std::size_t blocks() const { return blocks_; }

  static constexpr std::size_t block_bytes = 256 << 10;

 private:
  struct Block;
  struct Free {
    Free* next;
  };
  void add_block();
  void link(Block& block);
  void unlink(Block& block);

  const std::size_t object_bytes_;
  std::size_t blocks_ = 0;
  Block* open_ = nullptr;  ///< blocks with room
};

/// The thread's slab for objects of this size. The address sanitizer shall see every object: it gets them singly.
template <std::size_t bytes>
struct SlabOf {
#if __has_feature(address_sanitizer)
  static void* take() { return ::operator new(bytes); }
  static void give(void* object) { ::operator delete(object); }
#else
  static inline thread_local constinit Slab slab{bytes};
  static void* take() { return slab.take(); }
  static void give(void* object) { slab.give(object); }
#endif
};

/// For the nodes of a container; arrays come from the heap.
template <class T>
struct SlabAllocator {
  using value_type = T;
  SlabAllocator() = default;
  template <class U>
  SlabAllocator(const SlabAllocator<U>&) {}
  T* allocate(std::size_t count) {
    return static_cast<T*>(count == 1 ? SlabOf<sizeof(T)>::take() : ::operator new(count * sizeof(T)));
  }
  void deallocate(T* at, std::size_t count) {
    if (count == 1)
      SlabOf<sizeof(T)>::give(at);
    else
      ::operator delete(at);
  }
  friend bool operator==(const SlabAllocator&, const SlabAllocator&) = default;
};

}  // namespace spirula::mds
