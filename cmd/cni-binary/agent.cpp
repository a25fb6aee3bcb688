#include "agent.h"

#include <cerrno>
#include <cstring>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "wait.h"

namespace heddle {
namespace {

using Outcome = AgentAnswer::Outcome;

// A result has a few hundred bytes per interface; a previous result that was handed in (1 MiB at most) comes back in it.
constexpr size_t MAX_ANSWER = 4 << 20;
char received[MAX_ANSWER];

void conclude(AgentAnswer& answer, Outcome outcome, std::string_view why, int error = 0) {
  answer.outcome = outcome;
  answer.why.append(why);
  if (error != 0) {
    answer.why.append(": ");
    answer.why.append(strerror(error));
  }
}

bool waited(Wait wait, AgentAnswer& answer, std::string_view doing) {
  if (wait == Wait::Ready) return true;
  if (wait == Wait::TimedOut) conclude(answer, Outcome::TimedOut, doing);
  if (wait == Wait::Stopped) conclude(answer, Outcome::Stopped, doing);
  if (wait == Wait::Failed) conclude(answer, Outcome::Failed, doing, errno);
  return false;
}

bool connectTo(int fd, const AgentRequest& request, AgentAnswer& answer) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // The caller has checked the length: sun_path keeps its NUL.
  strncpy(address.sun_path, request.socketPath, sizeof address.sun_path - 1);
  long pauseMs = 1;
  while (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    if (error == EINTR) continue;
    if (error != EAGAIN) {
      const bool absent = error == ENOENT || error == ECONNREFUSED || error == ENOTDIR;
      conclude(answer, absent ? Outcome::Absent : Outcome::Failed, "connecting", error);
      return false;
    }
    // The agent's backlog is full. A Unix socket gives no sign of room in it (unix_stream_connect in net/unix/af_unix.c
    // waits on the listener), so we ask again.
    const long now = nowMs();
    const long next = now + pauseMs < request.deadlineMs ? now + pauseMs : request.deadlineMs;
    const Wait wait = waitFor(-1, 0, next);
    if (wait == Wait::TimedOut && next < request.deadlineMs) {
      if (pauseMs < 16) pauseMs *= 2;
      continue;
    }
    waited(wait, answer, "the agent accepts no connection");
    return false;
  }
  return true;
}

// True also when the agent has closed its side early: it may have answered before it read everything.
bool send(int fd, const AgentRequest& request, AgentAnswer& answer) {
  iovec parts[2] = {{const_cast<char*>(request.head.data()), request.head.size()},
                    {const_cast<char*>(request.body.data()), request.body.size()}};
  for (;;) {
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EPIPE || errno == ECONNRESET) return true;
      if (errno != EAGAIN) {
        conclude(answer, Outcome::Failed, "sending the request", errno);
        return false;
      }
      if (!waited(waitFor(fd, POLLOUT, request.deadlineMs), answer, "sending the request")) return false;
      continue;
    }
    for (iovec& part : parts) {
      const size_t gone = static_cast<size_t>(sent) < part.iov_len ? static_cast<size_t>(sent) : part.iov_len;
      part.iov_base = static_cast<char*>(part.iov_base) + gone;
      part.iov_len -= gone;
      sent -= static_cast<ssize_t>(gone);
    }
    if (parts[0].iov_len + parts[1].iov_len == 0) return true;
  }
}

constexpr size_t UNKNOWN = static_cast<size_t>(-1);

struct Head {
  bool complete = false;
  const char* problem = nullptr;
  int status = 0;
  bool json = false;
  size_t bodyStart = 0;
  size_t bodyLength = UNKNOWN;
};

bool sameName(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

void readHeader(std::string_view line, Head& head) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) {
    head.problem = "a header without :";
    return;
  }
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (sameName(name, "Content-Length")) {
    size_t length = 0;
    for (const char c : value) {
      if (c < '0' || c > '9' || length > MAX_ANSWER) {
        head.problem = "no usable Content-Length";
        return;
      }
      length = length * 10 + static_cast<size_t>(c - '0');
    }
    if (value.empty()) head.problem = "no usable Content-Length";
    head.bodyLength = length;
  } else if (sameName(name, "Content-Type")) {
    head.json = sameName(trimmed(value.substr(0, value.find(';'))), "application/json");
  } else if (sameName(name, "Transfer-Encoding")) {
    // The agent always knows the length of what it says.
    head.problem = "an encoded body";
  }
}

// HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}
Head readHead(std::string_view text) {
  Head head;
  constexpr std::string_view start = "HTTP/1.1 ";
  const size_t known = text.size() < start.size() ? text.size() : start.size();
  if (text.substr(0, known) != start.substr(0, known)) {
    head.problem = "it is not HTTP/1.1";
    return head;
  }
  const size_t end = text.find("\r\n\r\n");
  if (end == std::string_view::npos) return head;
  head.complete = true;
  head.bodyStart = end + 4;

  const size_t statusEnd = start.size() + 3;
  for (size_t i = start.size(); i < statusEnd; i++) {
    const char c = i < end ? text[i] : ' ';
    if (c < '0' || c > '9') {
      head.problem = "no status";
      return head;
    }
    head.status = head.status * 10 + (c - '0');
  }
  size_t lineStart = text.find("\r\n") + 2;
  while (lineStart < end && head.problem == nullptr) {
    const size_t lineEnd = text.find("\r\n", lineStart);
    readHeader(text.substr(lineStart, lineEnd - lineStart), head);
    lineStart = lineEnd + 2;
  }
  return head;
}

void finish(AgentAnswer& answer, const Head& head, size_t length) {
  answer.outcome = Outcome::Answered;
  answer.status = head.status;
  answer.json = head.json;
  answer.body = std::string_view(received + head.bodyStart, length);
}

void receive(int fd, const AgentRequest& request, AgentAnswer& answer) {
  size_t length = 0;
  Head head;
  for (;;) {
    if (!waited(waitFor(fd, POLLIN, request.deadlineMs), answer, "waiting for the answer")) return;
    const ssize_t count = recv(fd, received + length, MAX_ANSWER - length, MSG_DONTWAIT);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count < 0 && errno != ECONNRESET) return conclude(answer, Outcome::Failed, "reading the answer", errno);
    const bool ended = count <= 0;
    if (count > 0) length += static_cast<size_t>(count);

    if (!head.complete) head = readHead(std::string_view(received, length));
    if (head.problem != nullptr) return conclude(answer, Outcome::Garbage, head.problem);
    if (head.complete) {
      const size_t present = length - head.bodyStart;
      // Without a length, the end of the connection is the end of the body (RFC 9112 section 6.3).
      if (head.bodyLength == UNKNOWN && ended && count == 0) return finish(answer, head, present);
      if (head.bodyLength != UNKNOWN && present >= head.bodyLength) return finish(answer, head, head.bodyLength);
    }
    if (ended) {
      return conclude(answer, Outcome::Died,
                      length == 0 ? "it closed the connection without an answer" : "its answer ends too early");
    }
    if (length == MAX_ANSWER) return conclude(answer, Outcome::Garbage, "it is larger than 4 MiB");
  }
}

}  // namespace

void askAgent(const AgentRequest& request, AgentAnswer& answer) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return conclude(answer, Outcome::Failed, "opening a socket", errno);
  if (connectTo(fd, request, answer) && send(fd, request, answer)) receive(fd, request, answer);
  close(fd);
}

}  // namespace heddle
