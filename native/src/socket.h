// The JavaScript face of a netlink socket.
#pragma once

#include <napi.h>
#include <uv.h>

#include <deque>
#include <memory>
#include <vector>

#include "netlink.h"

namespace heddle {

// What belongs to one JavaScript environment (the main thread or a worker).
struct AddonData {
  Napi::FunctionReference socket;
  Napi::FunctionReference netns;
  Napi::FunctionReference shared_memory;
};

// Lives on the JavaScript thread; only the descriptor's number is lent to the one worker that is under way. Requests
// wait in a queue, so answers never mix. close() takes effect at once for the queue, and for the descriptor as soon as
// the worker is back.
class Socket : public Napi::ObjectWrap<Socket> {
 public:
  static Napi::Function Define(Napi::Env env);
  // Wraps an open socket.
  static Napi::Value Create(Napi::Env env, NetlinkSocket& socket);

  explicit Socket(const Napi::CallbackInfo& info);
  ~Socket() override;

 private:
  struct Pending {
    std::vector<uint8_t> request;
    Napi::Promise::Deferred deferred;
  };
  struct Poll;
  class TransactWorker;

  Napi::Value Transact(const Napi::CallbackInfo& info);
  void Listen(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
  Napi::Value PortId(const Napi::CallbackInfo& info);
  Napi::Value Closed(const Napi::CallbackInfo& info);

  void StartNext(Napi::Env env);
  // The worker that was under way is back.
  void Finished(Napi::Env env);
  void CloseAll(Napi::Env env);

  NetlinkSocket socket_;
  std::deque<Pending> queue_;
  bool busy_ = false;
  bool closed_ = false;
  Poll* poll_ = nullptr;
};

}  // namespace heddle
