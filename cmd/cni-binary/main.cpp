// heddle: the CNI plugin as container runtimes execute it (SPEC.md section 2). It hands the operation to the node's
// agent and prints what the agent answers; a process this small starts in a fraction of a millisecond. What it decides
// itself is what can't wait for the agent: VERSION, input that is no JSON, and the agent's absence.
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <unistd.h>

#include "agent.h"
#include "input.h"
#include "json.h"
#include "output.h"
#include "text.h"
#include "wait.h"

#ifndef HEDDLE_VERSION
#error "scripts/build-cni.sh defines HEDDLE_VERSION"
#endif

using namespace heddle;

namespace {

// The same list as in src/pods/cni/versions.ts.
constexpr std::string_view SUPPORTED_JSON = R"("0.3.0","0.3.1","0.4.0","1.0.0","1.1.0")";
constexpr std::string_view ABOUT =
    "CNI heddle plugin v" HEDDLE_VERSION "\nCNI protocol versions supported: 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n";
// Node.js takes 16 KiB of request head (--max-http-header-size).
constexpr size_t MAX_HEAD = 15 << 10;

// A closed standard descriptor would be given to the socket, and the answer written into it.
void holdStandardDescriptors() {
  for (int fd = 0; fd <= 2; fd++) {
    if (fcntl(fd, F_GETFD) < 0) open("/dev/null", O_RDWR);
  }
}

[[noreturn]] void answerVersion() {
  static Text<256> out;
  out.append("{\"cniVersion\":");
  out.append(answeredVersion());
  out.append(",\"supportedVersions\":[");
  out.append(SUPPORTED_JSON);
  out.append("]}\n");
  finish(out.view(), 0);
}

struct Variable {
  const char* name;
  const char* header;
};

constexpr Variable VARIABLES[] = {
    {"CNI_COMMAND", "X-CNI-Command"}, {"CNI_CONTAINERID", "X-CNI-ContainerID"}, {"CNI_NETNS", "X-CNI-Netns"},
    {"CNI_IFNAME", "X-CNI-Ifname"},   {"CNI_ARGS", "X-CNI-Args"},               {"CNI_PATH", "X-CNI-Path"},
};

void writeHead(TextBuffer& head, size_t bodyLength, long timeoutMs) {
  head.append("POST /cni HTTP/1.1\r\nHost: heddle\r\nUser-Agent: heddle-cni/" HEDDLE_VERSION
              "\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ");
  head.appendNumber(bodyLength);
  // How long we shall wait: the agent needs not go on after that.
  head.append("\r\nX-CNI-Timeout-Ms: ");
  head.appendNumber(static_cast<unsigned long>(timeoutMs));
  for (const Variable& variable : VARIABLES) {
    const char* value = getenv(variable.name);
    if (value == nullptr) continue;
    head.append("\r\n");
    head.append(variable.header);
    head.append(": ");
    head.appendPercent(value);
    if (head.full()) {
      Text<128> msg;
      msg.append(variable.name);
      msg.append(" is invalid");
      fail(Environment, msg.view(), "it is too long: the CNI_* variables together have at most 15 KiB, percent-encoded");
    }
  }
  head.append("\r\n\r\n");
  if (head.full()) fail(Environment, "CNI_PATH is invalid", "the CNI_* variables are too long together");
}

bool isObject(std::string_view text) { return scanObject(text, nullptr, 0).what == nullptr; }

// An error object without a code above 0 would read as success to some runtimes.
bool isError(std::string_view text) {
  JsonField code{"code", {}};
  return scanObject(text, &code, 1).what == nullptr && code.value.kind == JsonValue::Kind::Number &&
         code.value.raw != "0";
}

[[noreturn]] void unusable(Code code, const char* socketPath, std::string_view msg, std::string_view why) {
  Text<1024> details;
  details.append("socket ");
  details.append(socketPath);
  details.append(": ");
  details.append(why);
  fail(code, msg, details.view());
}

[[noreturn]] void relay(const AgentAnswer& answer, std::string_view command, const char* socketPath) {
  const bool success = answer.status == 200 || answer.status == 204;
  // Only ADD has a result; the others say nothing on success.
  const bool empty = answer.body.empty() && command != "ADD";
  if (success && (empty || (answer.json && isObject(answer.body)))) finish(answer.body, 0);
  if (!success && answer.json && isError(answer.body)) finish(answer.body, 1);

  if (answer.status == 503) {
    // It has as many operations in hand as it may (cni.maxConcurrent).
    const Code code = command == "STATUS" ? NotAvailable : TryAgain;
    unusable(code, socketPath, "the Heddle agent is busy", answer.body.substr(0, 200));
  }
  Text<512> why;
  why.append("status ");
  why.appendNumber(static_cast<unsigned long>(answer.status));
  why.append(success ? " without a result in JSON" : " without a CNI error in JSON");
  if (!answer.body.empty()) {
    why.append("; it begins with ");
    why.append(answer.body.substr(0, 100));
  }
  unusable(command == "STATUS" ? NotAvailable : Io, socketPath, "the Heddle agent's answer makes no sense", why.view());
}

[[noreturn]] void explain(const AgentAnswer& answer, std::string_view command, const char* socketPath, long timeoutMs) {
  using Outcome = AgentAnswer::Outcome;
  const bool status = command == "STATUS";
  const Code transient = status ? NotAvailable : TryAgain;
  const Code lasting = status ? NotAvailable : Io;
  Text<768> why;
  why.append(answer.why.view());
  switch (answer.outcome) {
    case Outcome::Absent:
      why.append("; is heddle-agent running on this node? Try again later");
      unusable(transient, socketPath, "the Heddle agent is away", why.view());
    case Outcome::Died:
      why.append("; whether the operation took effect is unknown. Try again later");
      unusable(transient, socketPath, "the Heddle agent went away during the operation", why.view());
    case Outcome::TimedOut:
      why.append("; gave up after ");
      why.appendNumber(static_cast<unsigned long>(timeoutMs));
      why.append(" ms (cniTimeoutSeconds); whether the operation took effect is unknown");
      unusable(transient, socketPath, "the Heddle agent does not answer", why.view());
    case Outcome::Stopped:
      stopped();
    case Outcome::Garbage:
      unusable(lasting, socketPath, "the Heddle agent's answer makes no sense", why.view());
    case Outcome::Failed:
    case Outcome::Answered:
      break;
  }
  unusable(lasting, socketPath, "talking to the Heddle agent failed", why.view());
}

std::string_view readCommand(std::string_view& text, long startMs) {
  const char* command = getenv("CNI_COMMAND");
  if (command == nullptr || *command == '\0') {
    writeAll(STDERR_FILENO, ABOUT.data(), ABOUT.size());
    // A person wanted to see the above; a runtime must not take it for success.
    if (isatty(STDIN_FILENO)) _exit(0);
    fail(Environment, "CNI_COMMAND is missing", "the runtime must set it to ADD, DEL, CHECK, STATUS, GC or VERSION");
  }
  const bool version = strcmp(command, "VERSION") == 0;
  if (!version || !isatty(STDIN_FILENO)) text = readInput(startMs);
  return command;
}

bool isKnown(std::string_view command) {
  for (const std::string_view known : {"ADD", "DEL", "CHECK", "STATUS", "GC", "VERSION"}) {
    if (command == known) return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  const long startMs = nowMs();
  holdStandardDescriptors();
  prepareSignals();
  if (argc > 1) {
    const std::string_view option = argv[1];
    if (option == "--version" || option == "--help" || option == "-h") finish(ABOUT, 0);
  }

  std::string_view text;
  const std::string_view command = readCommand(text, startMs);
  JsonField fields[] = {{"cniVersion", {}}, {"cniSocket", {}}, {"cniTimeoutSeconds", {}}};
  const bool silent = text.empty() && command == "VERSION";
  const JsonProblem problem = silent ? JsonProblem{} : scanObject(text, fields, 3);
  if (problem.what == nullptr) readVersion(fields[0].value);
  if (!isKnown(command)) {
    Text<256> details;
    details.append("it must be ADD, DEL, CHECK, STATUS, GC or VERSION; it is ");
    details.append(command.substr(0, 100));
    fail(Environment, "CNI_COMMAND is invalid", details.view());
  }
  if (problem.what != nullptr) {
    Text<256> details;
    details.append("byte ");
    details.appendNumber(problem.at);
    details.append(" of standard input: ");
    details.append(problem.what);
    fail(Decoding, "the network configuration is not a JSON object", details.view());
  }
  if (command == "VERSION") answerVersion();

  char socketPath[MAX_SOCKET_PATH + 1] = {};
  readSocketPath(fields[1].value, socketPath);
  const long timeoutMs = readTimeoutMs(fields[2].value);
  static Text<MAX_HEAD> head;
  writeHead(head, text.size(), timeoutMs);

  static AgentAnswer answer;
  askAgent({socketPath, head.view(), text, startMs + timeoutMs}, answer);
  if (answer.outcome == AgentAnswer::Outcome::Answered) relay(answer, command, socketPath);
  explain(answer, command, socketPath, timeoutMs);
}
