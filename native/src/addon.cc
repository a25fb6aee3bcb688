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
#include "reader.h"
#include "shared-memory.h"
#include "socket.h"
#include "step-values.h"
#include "steps.h"
#include "worker.h"

namespace heddle {
namespace {

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

// runIn(netns, steps): Promise<(Buffer | Error)[]>
Napi::Value RunInJs(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto netns = NetnsOf(env, info[0]);
  if (!info[1].IsArray()) throw Napi::TypeError::New(env, "runIn(netns, steps: Step[])");
  auto steps = std::make_shared<std::vector<Step>>(StepsOf(env, info[1].As<Napi::Array>()));
  return PromiseWorker<std::vector<StepResult>>::Start(
      env, [netns, steps] { return RunSteps(*netns, *steps); },
      [](Napi::Env e, std::vector<StepResult>& results) { return ResultsToJs(e, results); });
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
  exports.Set("Reader", Reader::Define(env));
  exports.Set("receiveMemory", Napi::Function::New(env, ReceiveMemoryJs, "receiveMemory"));
  return exports;
}

}  // namespace

NODE_API_MODULE(heddle_native, Init)

}  // namespace heddle
