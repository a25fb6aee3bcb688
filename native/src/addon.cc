// heddle_native: what Node.js can't do by itself for the dataplanes. The types are in
// src/dataplane/linux/netlink/native.ts.
#include <errno.h>
#include <fcntl.h>
#include <napi.h>

#include <memory>
#include <utility>

#include "errors.h"
#include "netlink.h"
#include "netns.h"
#include "shared-memory.h"
#include "socket.h"
#include "steps.h"
#include "worker.h"

namespace heddle {
namespace {

std::string PathOf(Napi::Env env, const Napi::Value& value) {
  std::string path = value.As<Napi::String>().Utf8Value();
  if (path.empty() || path.find('\0') != std::string::npos)
    throw Napi::TypeError::New(env, "a path is a non-empty string without NUL");
  return path;
}

// undefined: the process's own namespace; a string: its path; a number: an open descriptor, duplicated at once so that
// its owner may close it at any time.
std::shared_ptr<NetnsRef> NetnsOf(Napi::Env env, const Napi::Value& value) {
  auto ref = std::make_shared<NetnsRef>();
  if (value.IsUndefined()) return ref;
  if (value.IsString()) {
    ref->path = PathOf(env, value);
    return ref;
  }
  if (!value.IsNumber()) throw Napi::TypeError::New(env, "netns: a path, a descriptor or undefined");
  int fd = value.As<Napi::Number>().Int32Value();
  ref->fd = Fd(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!ref->fd) throw ToJs(env, SysError(errno, "fcntl", "fd " + std::to_string(fd)));
  return ref;
}

int ProtocolOf(Napi::Env env, const Napi::Value& value) {
  if (!value.IsNumber()) throw Napi::TypeError::New(env, "protocol: a number");
  return value.As<Napi::Number>().Int32Value();
}

// A namespace kept open: its descriptor can be named in netlink requests, and it can't be mistaken for another that
// takes its path later.
class Netns : public Napi::ObjectWrap<Netns> {
 public:
  struct Opened {
    Fd fd;
    NetnsIdentity identity{};
  };

  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Netns",
                       {
                           InstanceMethod<&Netns::Close>("close"),
                           InstanceAccessor<&Netns::GetFd>("fd"),
                           InstanceAccessor<&Netns::GetDev>("dev"),
                           InstanceAccessor<&Netns::GetIno>("ino"),
                       });
  }

  explicit Netns(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    if (info.Length() != 1 || !info[0].IsExternal())
      throw Napi::TypeError::New(info.Env(), "namespaces come from openNetns()");
    opened_ = std::move(*info[0].As<Napi::External<Opened>>().Data());
  }

 private:
  Napi::Value GetFd(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), opened_.fd.get()); }
  Napi::Value GetDev(const Napi::CallbackInfo& info) {
    return Napi::BigInt::New(info.Env(), static_cast<uint64_t>(opened_.identity.dev));
  }
  Napi::Value GetIno(const Napi::CallbackInfo& info) {
    return Napi::BigInt::New(info.Env(), static_cast<uint64_t>(opened_.identity.ino));
  }
  void Close(const Napi::CallbackInfo&) { opened_.fd.Reset(); }

  Opened opened_;
};

// openNetns(path): Promise<Netns>
Napi::Value OpenNetnsJs(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsString()) throw Napi::TypeError::New(env, "openNetns(path: string)");
  std::string path = PathOf(env, info[0]);
  return PromiseWorker<Netns::Opened>::Start(
      env,
      [path] {
        Netns::Opened opened;
        opened.fd = OpenNetns(path);
        opened.identity = IdentifyNetns(opened.fd.get(), path);
        return opened;
      },
      [](Napi::Env e, Netns::Opened& opened) -> Napi::Value {
        return e.GetInstanceData<AddonData>()->netns.New({Napi::External<Netns::Opened>::New(e, &opened)});
      });
}

// openNetlink({netns?, protocol, groups?, receiveBuffer?}): Promise<NetlinkSocket>
Napi::Value OpenNetlinkJs(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsObject()) throw Napi::TypeError::New(env, "openNetlink(options: object)");
  auto options = info[0].As<Napi::Object>();
  auto netns = NetnsOf(env, options.Get("netns"));
  NetlinkOptions netlink;
  netlink.protocol = ProtocolOf(env, options.Get("protocol"));
  if (options.Get("groups").IsArray()) {
    auto groups = options.Get("groups").As<Napi::Array>();
    for (uint32_t i = 0; i < groups.Length(); i++) {
      Napi::Value group = groups[i];
      if (!group.IsNumber()) throw Napi::TypeError::New(env, "groups: numbers");
      netlink.groups.push_back(group.As<Napi::Number>().Uint32Value());
    }
  }
  if (options.Get("receiveBuffer").IsNumber())
    netlink.receive_buffer = options.Get("receiveBuffer").As<Napi::Number>().Int32Value();
  return PromiseWorker<NetlinkSocket>::Start(
      env,
      [netns, netlink] {
        NetnsVisit visit(*netns);
        return OpenNetlink(netlink);
      },
      [](Napi::Env e, NetlinkSocket& socket) { return Socket::Create(e, socket); });
}

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

// runIn(netns, steps): Promise<(Buffer | Error)[]>
Napi::Value RunInJs(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto netns = NetnsOf(env, info[0]);
  if (!info[1].IsArray()) throw Napi::TypeError::New(env, "runIn(netns, steps: Step[])");
  auto list = info[1].As<Napi::Array>();
  auto steps = std::make_shared<std::vector<Step>>();
  for (uint32_t i = 0; i < list.Length(); i++) steps->push_back(StepOf(env, list[i]));
  return PromiseWorker<std::vector<StepResult>>::Start(
      env, [netns, steps] { return RunSteps(*netns, *steps); },
      [](Napi::Env e, std::vector<StepResult>& results) -> Napi::Value {
        auto array = Napi::Array::New(e, results.size());
        for (uint32_t i = 0; i < results.size(); i++) {
          const StepResult& r = results[i];
          if (r.err != 0) {
            array.Set(i, ToJs(e, SysError(r.err, r.syscall, r.subject)).Value());
          } else {
            array.Set(i, Napi::Buffer<uint8_t>::Copy(e, r.data.data(), r.data.size()));
          }
        }
        return array;
      });
}

// receiveMemory(path, timeoutMs): Promise<SharedMemory>
Napi::Value ReceiveMemoryJs(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsString() || !info[1].IsNumber())
    throw Napi::TypeError::New(env, "receiveMemory(path: string, timeoutMs: number)");
  std::string path = PathOf(env, info[0]);
  int timeout = info[1].As<Napi::Number>().Int32Value();
  if (timeout <= 0) throw Napi::TypeError::New(env, "timeoutMs: more than 0");
  return PromiseWorker<Mapping>::Start(
      env, [path, timeout] { return ReceiveMapping(path, timeout); },
      [](Napi::Env e, Mapping& mapping) { return SharedMemory::Create(e, mapping); });
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto* data = new AddonData();
  data->socket = Napi::Persistent(Socket::Define(env));
  data->netns = Napi::Persistent(Netns::Define(env));
  data->shared_memory = Napi::Persistent(SharedMemory::Define(env));
  env.SetInstanceData(data);
  exports.Set("openNetns", Napi::Function::New(env, OpenNetnsJs, "openNetns"));
  exports.Set("openNetlink", Napi::Function::New(env, OpenNetlinkJs, "openNetlink"));
  exports.Set("runIn", Napi::Function::New(env, RunInJs, "runIn"));
  exports.Set("receiveMemory", Napi::Function::New(env, ReceiveMemoryJs, "receiveMemory"));
  return exports;
}

}  // namespace

NODE_API_MODULE(heddle_native, Init)

}  // namespace heddle
