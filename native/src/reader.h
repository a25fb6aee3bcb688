// Reading a namespace again and again: of hundreds of pods nearly all are as they were, and then nothing gets to JavaScript.
#pragma once

#include <napi.h>

#include <memory>
#include <mutex>
#include <vector>

#include "netns.h"
#include "steps.h"

namespace heddle {

// The JavaScript face: new Reader(netns, steps), read(), forget().
class Reader : public Napi::ObjectWrap<Reader> {
 public:
  static Napi::Function Define(Napi::Env env);

  explicit Reader(const Napi::CallbackInfo& info);

 private:
  // A read that is under way outlives the object.
  struct State {
    NetnsRef netns;
    std::vector<Step> steps;
    std::mutex mutex;
    std::vector<StepResult> last;
  };

  Napi::Value Read(const Napi::CallbackInfo& info);
  void Forget(const Napi::CallbackInfo& info);

  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace heddle
