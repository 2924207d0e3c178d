#pragma once
#include <map>
#include <string>

#include "appliance/accounts.h"
#include "appliance/document_store.h"
#include "appliance/router.h"
#include "appliance/second_factor.h"
#include "base/blocking.h"
#include "base/metrics.h"

namespace spirula::appliance {

/// Who gets in: claiming the box, logging in and out, sessions, one's password and what is asked besides it, the
/// metrics token. Lives on one shard; outlives the router it adds itself to.
class AccessApi {
 public:
  /// `folder`: where the claim code is kept until somebody claims the box, so that a restart does not change it.
  static Result<std::unique_ptr<AccessApi>> open(Shard& shard, DocumentStore& documents, Sessions& sessions,
                                                 BlockingPool& workers, Metrics& metrics, std::string folder);
  void add_to(Router& router);
  /// For the console; empty once the box is claimed.
  const std::string& claim_code() const { return claim_code_; }
  bool metrics_token_fits(const std::string& token) const;

 private:
  AccessApi(Shard& shard, DocumentStore& documents, Sessions& sessions, BlockingPool& workers, Metrics& metrics,
            std::string folder);
  Task<HttpResponse> get_state(Call call);
  Task<HttpResponse> claim(Call call);
  Task<HttpResponse> log_in(Call call);
  Task<HttpResponse> get_session(Call call);
  Task<HttpResponse> log_out(Call call);
  Task<HttpResponse> list_sessions(Call call);
  Task<HttpResponse> end_session(Call call);
  Task<HttpResponse> change_password(Call call);
  Task<HttpResponse> make_metrics_token(Call call);
  Task<HttpResponse> get_second_factor(Call call);
  Task<HttpResponse> begin_second_factor(Call call);
  Task<HttpResponse> finish_second_factor(Call call);
  Task<HttpResponse> end_second_factor(Call call);
  /// A refusal unless the password in the body is right; a wrong one costs what it costs anywhere.
  Task<std::optional<HttpResponse>> refuse_without_password(const Call& call);
  std::int64_t unix_time() const;

  /// A refusal while somebody who guessed wrong has to wait, counted; otherwise nothing.
  std::optional<HttpResponse> refuse_guess(const Call& call, const std::string& account);
  HttpResponse wrong_guess(const Call& call, const std::string& account, std::string_view code,
                           std::string_view message);
  HttpResponse opened(const Call& call, const AccountRecord& account);
  /// What was guessed about this account; all names that nobody has share one, so there are few.
  GuessDelays& delays_of(const std::string& account);
  /// On the workers, and one at a time: argon2id takes 19 MiB.
  Task<Result<std::string>> hash(std::string password);
  /// Whether it is this account's, also by the time that is known. Takes as long for an account that nobody has.
  Task<bool> verify(std::string account, std::string password);

  Shard& shard_;
  DocumentStore& documents_;
  Sessions& sessions_;
  BlockingPool& workers_;
  std::string folder_, claim_code_;
  SecondFactor second_;
  std::map<std::string, GuessDelays> delays_;  ///< by account: who knows one password gets no faster at another
  bool checking_ = false;  ///< a password or code is being looked at; others wait for their turn by asking again
  Counter& logins_;
  Counter& guesses_;
};

}  // namespace spirula::appliance
