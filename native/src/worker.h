// Blocking work on a thread of libuv's pool, its outcome as a promise.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <new>
#include <utility>

#include "errors.h"

namespace heddle {

// Runs `work` on a pool thread, then `done` on the JavaScript thread, which makes the promise's value of its result.
// A SysError of `work` rejects the promise. `T` must be default-constructible.
template <typename T>
class PromiseWorker : public Napi::AsyncWorker {
 public:
  using Work = std::function<T()>;
  using Done = std::function<Napi::Value(Napi::Env, T&)>;

  static Napi::Promise Start(Napi::Env env, Work work, Done done) {
    auto* worker = new PromiseWorker(env, std::move(work), std::move(done));
    Napi::Promise promise = worker->deferred_.Promise();
    worker->Queue();
    return promise;
  }

 protected:
  void Execute() override {
    try {
      result_ = work_();
    } catch (SysError& e) {
      error_ = std::make_unique<SysError>(std::move(e));
    } catch (const std::bad_alloc&) {
      error_ = std::make_unique<SysError>(ENOMEM, "malloc");
    }
    // Whatever the work holds (descriptors) is let go here, not when the loop gets to it.
    work_ = nullptr;
  }

  void OnOK() override {
    try {
      if (error_) {
        deferred_.Reject(ToJs(Env(), *error_).Value());
      } else {
        Resolve();
      }
    } catch (const Napi::Error&) {
      // The environment is being torn down: nobody is left to be told.
    }
  }

 private:
  PromiseWorker(Napi::Env env, Work work, Done done)
      : AsyncWorker(env, "heddle_native"),
        deferred_(Napi::Promise::Deferred::New(env)),
        work_(std::move(work)),
        done_(std::move(done)) {}

  void Resolve() {
    try {
      deferred_.Resolve(done_(Env(), result_));
    } catch (const Napi::Error& e) {
      deferred_.Reject(e.Value());
    }
  }

  Napi::Promise::Deferred deferred_;
  Work work_;
  Done done_;
  T result_{};
  std::unique_ptr<SysError> error_;
};

}  // namespace heddle
