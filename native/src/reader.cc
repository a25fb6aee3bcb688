#include "reader.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include <stddef.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "step-values.h"
#include "worker.h"

namespace heddle {
namespace {

bool CountsOn(uint16_t message, uint16_t attribute) {
  if (message == RTM_NEWLINK) return attribute == IFLA_STATS || attribute == IFLA_STATS64;
  return message == RTM_NEWNEIGH && attribute == NDA_CACHEINFO;
}

size_t HeaderOf(uint16_t message) { return message == RTM_NEWLINK ? sizeof(ifinfomsg) : sizeof(ndmsg); }

template <typename T>
T At(const std::vector<uint8_t>& bytes, size_t at) {
  T value;
  memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

bool IsLearned(const std::vector<uint8_t>& answers, size_t at) {
  const auto message = At<nlmsghdr>(answers, at);
  if (message.nlmsg_type != RTM_NEWNEIGH || message.nlmsg_len < NLMSG_LENGTH(sizeof(ndmsg))) return false;
  const auto neighbour = At<ndmsg>(answers, at + NLMSG_HDRLEN);
  return neighbour.ndm_family != AF_BRIDGE && (neighbour.ndm_state & NUD_PERMANENT) == 0;
}

void BlankIn(std::vector<uint8_t>& answers, size_t at, size_t end, uint16_t message) {
  for (size_t a = at + NLMSG_HDRLEN + NLMSG_ALIGN(HeaderOf(message)); a + sizeof(nlattr) <= end;) {
    const auto attribute = At<nlattr>(answers, a);
    if (attribute.nla_len < sizeof(nlattr) || a + attribute.nla_len > end) return;
    if (CountsOn(message, attribute.nla_type & NLA_TYPE_MASK))
      std::fill(answers.begin() + a + NLA_HDRLEN, answers.begin() + a + attribute.nla_len, uint8_t{0});
    a += NLA_ALIGN(attribute.nla_len);
  }
}

// Sets counters of links, ages of neighbours and the socket's number to 0, and leaves out neighbours that the kernel has
// found by itself: no filter leaves any of that out of a dump. What is no netlink message stays as it is, for the decoder
// to complain of.
void Settle(std::vector<uint8_t>& answers) {
  for (size_t at = 0; at + sizeof(nlmsghdr) <= answers.size();) {
    const auto message = At<nlmsghdr>(answers, at);
    const size_t end = at + message.nlmsg_len, next = at + NLMSG_ALIGN(message.nlmsg_len);
    if (message.nlmsg_len < sizeof(nlmsghdr) || end > answers.size()) return;
    if (IsLearned(answers, at)) {
      answers.erase(answers.begin() + at, answers.begin() + std::min(next, answers.size()));
      continue;
    }
    memset(answers.data() + at + offsetof(nlmsghdr, nlmsg_pid), 0, sizeof message.nlmsg_pid);
    if (message.nlmsg_type == RTM_NEWLINK || message.nlmsg_type == RTM_NEWNEIGH) BlankIn(answers, at, end, message.nlmsg_type);
    at = next;
  }
}

bool IsSame(const StepResult& a, const StepResult& b) { return a.err == b.err && a.data == b.data; }

struct Found {
  bool is_same = false;
  std::vector<StepResult> results;
};

}  // namespace

Napi::Function Reader::Define(Napi::Env env) {
  return DefineClass(env, "Reader", {InstanceMethod<&Reader::Read>("read"), InstanceMethod<&Reader::Forget>("forget")});
}

Reader::Reader(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  if (!info[0].IsString() || !info[1].IsArray())
    throw Napi::TypeError::New(info.Env(), "new Reader(netns: string, steps: Step[])");
  state_->netns.path = PathOf(info.Env(), info[0]);
  state_->steps = StepsOf(info.Env(), info[1].As<Napi::Array>());
}

// read(): Promise<(Buffer | Error)[] | undefined>
Napi::Value Reader::Read(const Napi::CallbackInfo& info) {
  return PromiseWorker<Found>::Start(
      info.Env(),
      [state = state_] {
        Found found;
        found.results = RunSteps(state->netns, state->steps);
        for (StepResult& result : found.results) Settle(result.data);
        const std::lock_guard lock(state->mutex);
        found.is_same = found.results.size() == state->last.size() &&
                        std::equal(found.results.begin(), found.results.end(), state->last.begin(), IsSame);
        if (!found.is_same) state->last = found.results;
        return found;
      },
      [](Napi::Env env, Found& found) { return found.is_same ? env.Undefined() : ResultsToJs(env, found.results); });
}

void Reader::Forget(const Napi::CallbackInfo&) {
  const std::lock_guard lock(state_->mutex);
  state_->last.clear();
}

}  // namespace heddle
