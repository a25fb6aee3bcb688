// hdbench: executes CNI plugins as a container runtime does, and says how long each took.
//
// Node's own spawn adds a millisecond and its garbage collector; this adds a vfork. It stays in the network namespace in
// which it was started, which is the node's, and so do the plugins.
//
// Requests on stdin, one a line, fields separated by tabs:
//   run ID PORT STDIN PROGRAM [KEY=VALUE ...]   takes note of a run; the environment is what is given and nothing else
//   go                                          starts all runs taken note of, at once
// Answers on stdout, one line a run when all of a "go" have ended, in the order of their end:
//   ID START_NS END_NS STATUS REACHED OUTPUT
// Times count from "go" (CLOCK_MONOTONIC); a run's is from before the fork until its end was waited for. STATUS is the
// exit status, 128 + N for signal N. With a PORT other than 0, every "address" of the output is connected to directly
// after the end, once, and something is read from it: REACHED is "ADDRESS=MICROSECONDS" or "ADDRESS=PROBLEM" for each,
// separated by spaces, "-" if there is none. A problem is an errno's name, or RETRANSMITTED when the first packet was lost
// and TCP's repetition came through. OUTPUT is what the plugin printed, without its line ends.
// The process ends when stdin does.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

namespace {

constexpr int kReachMs = 3000;
constexpr size_t kMaxOutput = 64u << 10;  // what a pipe holds

struct Run {
  std::string id;
  int port = 0;
  std::string input;
  std::string program;
  std::vector<std::string> environment;
  pid_t pid = -1;
  int output_fd = -1;
  long long start_ns = 0;
  long long end_ns = 0;
  int status = 127;
  std::string output;
};

long long now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

[[noreturn]] void die(const char* what) {
  perror(what);
  exit(2);
}

std::vector<std::string> fields(const std::string& line) {
  std::vector<std::string> out;
  size_t from = 0;
  for (size_t tab; (tab = line.find('\t', from)) != std::string::npos; from = tab + 1) {
    out.push_back(line.substr(from, tab - from));
  }
  out.push_back(line.substr(from));
  return out;
}

// Pipes are made and filled before the time is taken.
void start(Run& run, long long origin) {
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) die("pipe2");
  if (run.input.size() > kMaxOutput ||
      write(in[1], run.input.data(), run.input.size()) != static_cast<ssize_t>(run.input.size())) {
    die("write");
  }
  close(in[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  char* argv[] = {const_cast<char*>(run.program.c_str()), nullptr};
  std::vector<char*> envp;
  for (std::string& e : run.environment) envp.push_back(&e[0]);
  envp.push_back(nullptr);
  run.start_ns = now_ns() - origin;
  int err = posix_spawn(&run.pid, run.program.c_str(), &actions, nullptr, argv, envp.data());
  if (err != 0) {
    errno = err;
    die(run.program.c_str());
  }
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(out[1]);
  run.output_fd = out[0];
}

void read_output(Run& run) {
  char buf[8192];
  for (ssize_t n; (n = read(run.output_fd, buf, sizeof buf)) > 0;) run.output.append(buf, static_cast<size_t>(n));
  close(run.output_fd);
  for (char& c : run.output) {
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  }
}

bool retransmitted(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 && info.tcpi_total_retrans > 0;
}

// Connects and reads one byte; how long that took in microseconds, or what was wrong.
std::string reach(const std::string& address, int port) {
  const long long from = now_ns();
  sockaddr_storage to{};
  socklen_t length;
  if (auto* v4 = reinterpret_cast<sockaddr_in*>(&to); inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<uint16_t>(port));
    length = sizeof *v4;
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&to);
    if (inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) != 1) return "EINVAL";
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(static_cast<uint16_t>(port));
    length = sizeof *v6;
  }
  int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return strerrorname_np(errno);
  int err = connect(fd, reinterpret_cast<sockaddr*>(&to), length) == 0 ? 0 : errno;
  if (err == EINPROGRESS || err == 0) {
    // Readable also when the connection was refused: recv then says so.
    pollfd p{fd, POLLIN, 0};
    char byte;
    if (poll(&p, 1, kReachMs) == 0) {
      err = ETIMEDOUT;
    } else {
      ssize_t n = recv(fd, &byte, 1, 0);
      err = n == 1 ? 0 : n == 0 ? ECONNRESET : errno;
    }
  }
  const bool repeated = retransmitted(fd);
  close(fd);
  if (repeated) return "RETRANSMITTED";
  return err == 0 ? std::to_string((now_ns() - from) / 1000) : strerrorname_np(err);
}

// Every `"address": "10.1.2.3/32"` of a CNI result; the only fields of that name are those of its "ips".
std::vector<std::string> addresses(const std::string& result) {
  std::vector<std::string> found;
  const std::string name = "\"address\"";
  for (size_t at = 0; (at = result.find(name, at)) != std::string::npos;) {
    at += name.size();
    size_t open = result.find('"', at);
    size_t end = open == std::string::npos ? open : result.find_first_of("/\"", open + 1);
    if (end == std::string::npos) break;
    found.push_back(result.substr(open + 1, end - open - 1));
    at = end;
  }
  return found;
}

std::string reach_all(const Run& run) {
  std::string out;
  for (const std::string& address : run.port == 0 ? std::vector<std::string>() : addresses(run.output)) {
    out += (out.empty() ? "" : " ") + address + "=" + reach(address, run.port);
  }
  return out.empty() ? "-" : out;
}

void go(std::vector<Run>& runs) {
  const long long origin = now_ns();
  for (Run& run : runs) start(run, origin);
  std::vector<Run*> ended;
  while (ended.size() < runs.size()) {
    int status;
    pid_t pid = waitpid(-1, &status, 0);
    if (pid < 0) die("waitpid");
    const long long at = now_ns() - origin;
    for (Run& run : runs) {
      if (run.pid != pid) continue;
      run.end_ns = at;
      run.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      ended.push_back(&run);
    }
  }
  std::string answer;
  for (Run* run : ended) {
    read_output(*run);
    const std::string reached = reach_all(*run);
    answer += run->id + "\t" + std::to_string(run->start_ns) + "\t" + std::to_string(run->end_ns) + "\t" +
              std::to_string(run->status) + "\t" + reached + "\t" + run->output + "\n";
  }
  std::cout << answer << std::flush;
  runs.clear();
}

}  // namespace

int main() {
  signal(SIGPIPE, SIG_IGN);
  std::ios::sync_with_stdio(false);
  std::vector<Run> runs;
  for (std::string line; std::getline(std::cin, line);) {
    std::vector<std::string> f = fields(line);
    if (f[0] == "go") {
      go(runs);
    } else if (f[0] == "run" && f.size() >= 5) {
      Run run;
      run.id = f[1];
      run.port = atoi(f[2].c_str());
      run.input = f[3];
      run.program = f[4];
      run.environment.assign(f.begin() + 5, f.end());
      runs.push_back(std::move(run));
    } else {
      std::cerr << "hdbench: cannot read: " << line.substr(0, 80) << "\n";
      return 2;
    }
  }
  return 0;
}
