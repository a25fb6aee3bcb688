// HTTP GET from inside a namespace, for the health and status of what listens there.
#pragma once

#include "probes.h"

constexpr size_t kMaxBody = 16u << 20;

class HttpProbe : public Probe {
 public:
  HttpProbe(int fd, long id, int timeout_ms, const std::string& host, const std::string& path)
      : Probe(fd, id, timeout_ms), request_("GET " + path + " HTTP/1.0\r\nHost: " + host + "\r\n\r\n") {}
  bool ready(uint32_t events) override {
    if (!sent_) {
      if (int err = socket_error(); err != 0) return failed(err);
      if (send(fd_, request_.data(), request_.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request_.size())) {
        return failed(errno);
      }
      sent_ = true;
      watch(EPOLLIN);
      if ((events & EPOLLIN) == 0) return true;
    }
    char buf[65536];
    for (;;) {
      ssize_t n = recv(fd_, buf, sizeof buf, 0);
      if (n < 0 && errno == EAGAIN) return true;
      if (n < 0) return failed(errno);
      if (n == 0) break;
      in_.append(buf, static_cast<size_t>(n));
      if (in_.size() > kMaxBody) return failed("answer too long");
    }
    // HTTP/1.1 200 OK\r\n...\r\n\r\nbody
    size_t head = in_.find("\r\n\r\n");
    size_t space = in_.find(' ');
    if (in_.compare(0, 5, "HTTP/") != 0 || head == std::string::npos || space == std::string::npos) {
      return failed("not an HTTP answer");
    }
    emit("{\"id\":" + std::to_string(id_) + ",\"ok\":true,\"us\":" + std::to_string(now_us() - started_) +
         ",\"status\":" + std::to_string(atoi(in_.c_str() + space)) + ",\"body\":" + quoted(in_.substr(head + 4)) + "}");
    return false;
  }

 private:
  std::string request_;
  std::string in_;
  bool sent_ = false;
};
