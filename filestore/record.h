#pragma once
#include "base/buffer.h"
#include "base/result.h"
#include "filestore/object_id.h"
#include "filestore/transaction.h"

namespace spirula::filestore {

/// A transaction as the journal keeps it: a description of its operations, and the bytes of its writes one after the
/// other, so that they are copied only once, into the block that goes to the device.
struct Record {
  Buffer description;
  BufferList payload;
  std::size_t size() const { return 4 + description.size() + payload.size(); }
};
struct RecordedTransaction {
  CollectionId collection;
  Transaction transaction;
};

Record encode_record(const CollectionId& collection, const Transaction& transaction);
/// `bytes`: 32-bit length of the description, the description, the payload. The writes share its memory.
Result<RecordedTransaction> decode_record(const Buffer& bytes);
Result<RecordedTransaction> decode_record(const Buffer& description, const BufferList& payload);

}  // namespace spirula::filestore
