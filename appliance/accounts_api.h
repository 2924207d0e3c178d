#pragma once
#include "appliance/accounts.h"
#include "appliance/document_store.h"
#include "appliance/router.h"
#include "base/blocking.h"

namespace spirula::appliance {

/// Who has an account: administrators make others, change and take them away. The owner's is theirs alone. Lives on one
/// shard; outlives the router it adds itself to.
class AccountsApi {
 public:
  AccountsApi(DocumentStore& documents, Sessions& sessions, BlockingPool& workers)
      : documents_(documents), sessions_(sessions), workers_(workers) {}
  void add_to(Router& router);

 private:
  Task<HttpResponse> list(Call call);
  Task<HttpResponse> make(Call call);
  Task<HttpResponse> change(Call call);
  Task<HttpResponse> remove(Call call);
  /// A refusal, or nothing: somebody else's account of this name can be changed.
  std::optional<HttpResponse> refuse(const Call& call) const;
  Task<Result<std::string>> hash(std::string password);

  DocumentStore& documents_;
  Sessions& sessions_;
  BlockingPool& workers_;
};

}  // namespace spirula::appliance
