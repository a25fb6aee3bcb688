#include "step-values.h"

#include "errors.h"
#include "ethtool.h"

namespace heddle {

std::string PathOf(Napi::Env env, const Napi::Value& value) {
  std::string path = value.As<Napi::String>().Utf8Value();
  if (path.empty() || path.find('\0') != std::string::npos)
    throw Napi::TypeError::New(env, "a path is a non-empty string without NUL");
  return path;
}

int ProtocolOf(Napi::Env env, const Napi::Value& value) {
  if (!value.IsNumber()) throw Napi::TypeError::New(env, "protocol: a number");
  return value.As<Napi::Number>().Int32Value();
}

namespace {

Step FeatureStepOf(Napi::Env env, const Napi::Object& object) {
  Step step;
  Napi::Value feature = object.Get("feature");
  if (!feature.IsString() || !FindLinkFeature(feature.As<Napi::String>().Utf8Value(), &step.feature))
    throw Napi::TypeError::New(env, "feature: 'tso', 'gso', 'gro', 'tx' or 'beyond-tcp'");
  step.name = object.Get("link").As<Napi::String>().Utf8Value();
  if (!FitsLinkName(step.name)) throw Napi::TypeError::New(env, "not a link's name: '" + step.name + "'");
  Napi::Value on = object.Get("on");
  step.kind = on.IsUndefined() ? Step::Kind::kReadFeature : Step::Kind::kWriteFeature;
  if (!on.IsUndefined()) {
    if (!on.IsBoolean()) throw Napi::TypeError::New(env, "on: a boolean");
    step.on = on.As<Napi::Boolean>().Value();
  }
  return step;
}

Step StepOf(Napi::Env env, const Napi::Value& value) {
  if (!value.IsObject()) throw Napi::TypeError::New(env, "steps: objects");
  auto object = value.As<Napi::Object>();
  Step step;
  Napi::Value request = object.Get("request");
  if (request.IsTypedArray()) {
    if (request.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
      throw Napi::TypeError::New(env, "request: a Uint8Array");
    auto bytes = request.As<Napi::Uint8Array>();
    step.kind = Step::Kind::kNetlink;
    step.protocol = ProtocolOf(env, object.Get("protocol"));
    step.request.assign(bytes.Data(), bytes.Data() + bytes.ByteLength());
    return step;
  }
  if (object.Get("link").IsString()) return FeatureStepOf(env, object);
  if (object.Get("tap").IsString()) {
    step.kind = Step::Kind::kCreateTap;
    step.name = object.Get("tap").As<Napi::String>().Utf8Value();
    if (!FitsLinkName(step.name)) throw Napi::TypeError::New(env, "not a link's name: '" + step.name + "'");
    return step;
  }
  Napi::Value name = object.Get("sysctl");
  if (!name.IsString()) throw Napi::TypeError::New(env, "a step has a request, a sysctl, a link or a tap");
  step.name = name.As<Napi::String>().Utf8Value();
  if (!IsNetSysctl(step.name)) throw Napi::TypeError::New(env, "not a sysctl under net/: '" + step.name + "'");
  Napi::Value text = object.Get("value");
  step.kind = text.IsUndefined() ? Step::Kind::kReadSysctl : Step::Kind::kWriteSysctl;
  if (!text.IsUndefined()) {
    if (!text.IsString()) throw Napi::TypeError::New(env, "a sysctl's value is a string");
    step.value = text.As<Napi::String>().Utf8Value();
  }
  return step;
}

}  // namespace

std::vector<Step> StepsOf(Napi::Env env, const Napi::Array& list) {
  std::vector<Step> steps;
  for (uint32_t i = 0; i < list.Length(); i++) steps.push_back(StepOf(env, list[i]));
  return steps;
}

Napi::Value ResultsToJs(Napi::Env env, const std::vector<StepResult>& results) {
  auto array = Napi::Array::New(env, results.size());
  for (uint32_t i = 0; i < results.size(); i++) {
    const StepResult& r = results[i];
    if (r.err != 0) {
      array.Set(i, ToJs(env, SysError(r.err, r.syscall, r.subject)).Value());
    } else {
      array.Set(i, Napi::Buffer<uint8_t>::Copy(env, r.data.data(), r.data.size()));
    }
  }
  return array;
}

}  // namespace heddle
