#include "socket.h"

#include <new>
#include <utility>

#include "errors.h"

namespace heddle {
namespace {

// Datagrams per wake-up: the loop gets its turn in a storm; uv_poll is level-triggered, so what is left wakes it again.
constexpr int kMaxPerWakeUp = 64;
// More than anything our TypeScript sends at once, and inside the send buffer that OpenNetlink asks for.
constexpr size_t kMaxRequest = 512 << 10;

Napi::Error ClosedError(Napi::Env env) { return CodedError(env, "CLOSED", "netlink socket is closed"); }

}  // namespace

// The uv_poll handle outlives its socket until libuv has given it back, and keeps the descriptor open until then.
struct Socket::Poll {
  uv_poll_t handle;
  napi_env env;
  Fd fd;
  Socket* owner;
  Napi::FunctionReference callback;
  std::unique_ptr<Napi::AsyncContext> context;
  napi_async_cleanup_hook_handle hook = nullptr;

  static void OnReadable(uv_poll_t* handle, int status, int events);
  static void OnTeardown(napi_async_cleanup_hook_handle hook, void* arg);
  void Stop();
};

void Socket::Poll::OnReadable(uv_poll_t* handle, int status, int) {
  auto* poll = static_cast<Poll*>(handle->data);
  Napi::Env env(poll->env);
  Napi::HandleScope scope(env);
  try {
    Received received;
    bool readable = true;
    try {
      received = ReceiveSome(poll->fd.get(), kMaxPerWakeUp);
    } catch (const SysError&) {
      // A socket that can't be read has lost messages; the reader finds out what is wrong when it reads the state anew.
      received.overrun = true;
      readable = false;
    } catch (const std::bad_alloc&) {
      received.overrun = true;
    }
    // An overrun is an error condition of the socket, at which libuv stops polling. Reading has cleared it.
    if (status < 0 && readable) uv_poll_start(handle, UV_READABLE, &Poll::OnReadable);
    if (received.data.empty() && !received.overrun) return;
    Napi::Value data = Napi::Buffer<uint8_t>::Copy(env, received.data.data(), received.data.size());
    poll->callback.MakeCallback(env.Global(), {data, Napi::Boolean::New(env, received.overrun)}, *poll->context);
  } catch (const Napi::Error& e) {
    // As with any other callback of the event loop, what it throws is an uncaught exception.
    napi_fatal_exception(env, e.Value());
  }
}

void Socket::Poll::OnTeardown(napi_async_cleanup_hook_handle, void* arg) {
  static_cast<Poll*>(arg)->Stop();
}

void Socket::Poll::Stop() {
  if (uv_is_closing(reinterpret_cast<uv_handle_t*>(&handle))) return;
  if (owner != nullptr) owner->poll_ = nullptr;
  owner = nullptr;
  uv_poll_stop(&handle);
  // The callback's references stay until here: close() may have been called from inside the callback.
  uv_close(reinterpret_cast<uv_handle_t*>(&handle), [](uv_handle_t* closing) {
    auto* poll = static_cast<Poll*>(closing->data);
    Napi::HandleScope scope(poll->env);
    napi_async_cleanup_hook_handle added = poll->hook;
    delete poll;
    if (added != nullptr) napi_remove_async_cleanup_hook(added);
  });
}

class Socket::TransactWorker : public Napi::AsyncWorker {
 public:
  TransactWorker(Napi::Env env, Socket* socket, Pending pending)
      : AsyncWorker(env, "heddle_netlink"),
        socket_(socket),
        fd_(socket->socket_.fd.get()),
        pending_(std::move(pending)) {
    // The socket, and with it the descriptor, stays while the worker is under way.
    socket_->Ref();
  }

 protected:
  void Execute() override {
    try {
      answers_ = heddle::Transact(fd_, pending_.request.data(), pending_.request.size());
    } catch (SysError& e) {
      error_ = std::make_unique<SysError>(std::move(e));
    } catch (const std::bad_alloc&) {
      error_ = std::make_unique<SysError>(ENOMEM, "recvmsg");
    }
  }

  void OnOK() override {
    try {
      if (error_) {
        pending_.deferred.Reject(ToJs(Env(), *error_).Value());
      } else {
        pending_.deferred.Resolve(Napi::Buffer<uint8_t>::Copy(Env(), answers_.data(), answers_.size()));
      }
    } catch (const Napi::Error&) {
      // The environment is being torn down: nobody is left to be told.
    }
    socket_->Finished(Env());
  }

 private:
  Socket* socket_;
  int fd_;
  Pending pending_;
  std::vector<uint8_t> answers_;
  std::unique_ptr<SysError> error_;
};

Napi::Function Socket::Define(Napi::Env env) {
  return DefineClass(env, "NetlinkSocket",
                     {
                         InstanceMethod<&Socket::Transact>("transact"),
                         InstanceMethod<&Socket::Listen>("listen"),
                         InstanceMethod<&Socket::Close>("close"),
                         InstanceAccessor<&Socket::PortId>("portId"),
                         InstanceAccessor<&Socket::Closed>("closed"),
                     });
}

Napi::Value Socket::Create(Napi::Env env, NetlinkSocket& socket) {
  Napi::Object object =
      env.GetInstanceData<AddonData>()->socket.New({Napi::External<NetlinkSocket>::New(env, &socket)});
  return object;
}

Socket::Socket(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  if (info.Length() != 1 || !info[0].IsExternal())
    throw Napi::TypeError::New(info.Env(), "netlink sockets come from openNetlink()");
  socket_ = std::move(*info[0].As<Napi::External<NetlinkSocket>>().Data());
}

Socket::~Socket() {
  if (poll_ != nullptr) poll_->Stop();
}

Napi::Value Socket::PortId(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), socket_.port_id); }

Napi::Value Socket::Closed(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), closed_); }

Napi::Value Socket::Transact(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsTypedArray() ||
      info[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    throw Napi::TypeError::New(env, "transact(request: Uint8Array)");
  auto bytes = info[0].As<Napi::Uint8Array>();
  if (bytes.ByteLength() > kMaxRequest) throw Napi::RangeError::New(env, "netlink request over 512 KiB");
  Pending pending{std::vector<uint8_t>(bytes.Data(), bytes.Data() + bytes.ByteLength()),
                  Napi::Promise::Deferred::New(env)};
  Napi::Promise promise = pending.deferred.Promise();
  if (closed_ || poll_ != nullptr) {
    pending.deferred.Reject((closed_ ? ClosedError(env) : CodedError(env, "LISTENING", "the socket is listening")).Value());
    return promise;
  }
  queue_.push_back(std::move(pending));
  StartNext(env);
  return promise;
}

void Socket::StartNext(Napi::Env env) {
  if (busy_ || queue_.empty()) return;
  busy_ = true;
  Pending pending = std::move(queue_.front());
  queue_.pop_front();
  (new TransactWorker(env, this, std::move(pending)))->Queue();
}

void Socket::Finished(Napi::Env env) {
  busy_ = false;
  if (closed_) socket_.fd.Reset();
  try {
    if (!closed_) StartNext(env);
    Unref();
  } catch (const Napi::Error&) {
    // As above. The finalizer closes the descriptor.
  }
}

void Socket::Listen(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsFunction())
    throw Napi::TypeError::New(env, "listen(callback: (datagrams, overrun) => void)");
  if (closed_) throw ClosedError(env);
  if (poll_ != nullptr || busy_) throw CodedError(env, "BUSY", "the netlink socket is in use");
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) throw Napi::Error::New(env, "no event loop");
  auto poll = std::make_unique<Poll>();
  int error = uv_poll_init(loop, &poll->handle, socket_.fd.get());
  if (error != 0) throw ToJs(env, SysError(-error, "uv_poll_init"));
  // From here on libuv knows the handle: it is given back by Stop() only.
  Poll* p = poll.release();
  p->handle.data = p;
  p->env = env;
  p->fd = std::move(socket_.fd);
  p->owner = this;
  p->callback = Napi::Persistent(info[0].As<Napi::Function>());
  p->context = std::make_unique<Napi::AsyncContext>(env, "heddle_netlink_monitor");
  poll_ = p;
  napi_add_async_cleanup_hook(env, &Poll::OnTeardown, p, &p->hook);
  error = uv_poll_start(&p->handle, UV_READABLE, &Poll::OnReadable);
  if (error != 0) {
    CloseAll(env);
    throw ToJs(env, SysError(-error, "uv_poll_start"));
  }
  Ref();
}

void Socket::Close(const Napi::CallbackInfo& info) {
  bool listening = poll_ != nullptr;
  CloseAll(info.Env());
  if (listening) Unref();
}

void Socket::CloseAll(Napi::Env env) {
  if (closed_) return;
  closed_ = true;
  if (poll_ != nullptr) poll_->Stop();
  if (!busy_) socket_.fd.Reset();
  std::deque<Pending> waiting = std::move(queue_);
  queue_.clear();
  for (Pending& p : waiting) p.deferred.Reject(ClosedError(env).Value());
}

}  // namespace heddle
