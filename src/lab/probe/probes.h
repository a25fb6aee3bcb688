// The probes of hdprobe: TCP, UDP and ICMP round trips.
#pragma once

// First: netinet/in.h leaves definitions out when a kernel header has come before it.
#include "loop.h"

#include <linux/icmp.h>
#include <netinet/icmp6.h>

constexpr size_t kTcpPayload = 4096;  // more than two full segments, so that a path with a wrong MTU shows
constexpr size_t kKeepPayload = 64;  // one segment
constexpr size_t kUdpPayload = 512;

class Probe : public Handler {
 public:
  Probe(int fd, long id, int timeout_ms) : Handler(fd), id_(id), started_(now_us()) {
    deadline = started_ + int64_t{timeout_ms} * 1000;
  }
  bool timed_out() override { return failed(ETIMEDOUT); }
  // The handshake begins inside connect(), before there is a probe.
  void since(int64_t started) { started_ = started; }

 protected:
  bool failed(int err) {
    fail(id_, errno_name(err));
    return false;
  }
  bool failed(const std::string& why) {
    fail(id_, why);
    return false;
  }
  // `greeting` is what the server said of both ends' addresses, or of the client's alone.
  bool reached(int64_t us, const std::string& greeting = "") {
    size_t space = greeting.find(' ');
    std::string extra = greeting.empty() ? "" : ",\"seenAs\":" + quoted(greeting.substr(0, space));
    if (space != std::string::npos) extra += ",\"answeredBy\":" + quoted(greeting.substr(space + 1));
    emit("{\"id\":" + std::to_string(id_) + ",\"ok\":true,\"us\":" + std::to_string(us) + extra + "}");
    return false;
  }
  int socket_error() const {
    int err = 0;
    socklen_t len = sizeof err;
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &err, &len);
    return err;
  }
  long id_;
  int64_t started_;
};

// Bytes that no other probe sends: a stray answer must not pass for ours.
inline std::string payload_for(long id, size_t size) {
  std::string out = std::to_string(getpid()) + "." + std::to_string(id) + ".";
  while (out.size() < size) out += static_cast<char>('a' + (out.size() * 7 + static_cast<size_t>(id)) % 26);
  return out;
}

class TcpProbe : public Probe {
 public:
  // `size` 0: the greeting is all.
  TcpProbe(int fd, long id, int timeout_ms, size_t size) : Probe(fd, id, timeout_ms), payload_(payload_for(id, size)) {
    payload_.resize(size);
  }
  bool ready(uint32_t) override {
    if (connected_ == 0) {
      if (int err = socket_error(); err != 0) return failed(err);
      connected_ = now_us();
    }
    char buf[16384];
    for (;;) {
      ssize_t n = recv(fd_, buf, sizeof buf, 0);
      if (n == 0) return failed("closed by the peer");
      if (n < 0 && errno == EAGAIN) break;
      if (n < 0) return failed(errno);
      in_.append(buf, static_cast<size_t>(n));
    }
    size_t eol = in_.find('\n');
    if (eol == std::string::npos) {
      watch(EPOLLIN);
      return true;
    }
    while (sent_ < payload_.size()) {
      ssize_t n = send(fd_, payload_.data() + sent_, payload_.size() - sent_, MSG_NOSIGNAL);
      if (n < 0 && errno == EAGAIN) break;
      if (n < 0) return failed(errno);
      sent_ += static_cast<size_t>(n);
    }
    size_t echoed = in_.size() - eol - 1;
    if (echoed > payload_.size() || in_.compare(eol + 1, echoed, payload_, 0, echoed) != 0) {
      return failed("wrong bytes came back");
    }
    if (echoed == payload_.size()) return reached(connected_ - started_, in_.substr(0, eol));
    watch(sent_ < payload_.size() ? EPOLLIN | EPOLLOUT : EPOLLIN);
    return true;
  }

 private:
  std::string payload_;
  std::string in_;
  size_t sent_ = 0;
  int64_t connected_ = 0;
};

// One request after the other on one connection, as a client that keeps it does. What the server closes while nothing is
// under way has not failed. Every answer says which server it was, and how many requests it has answered.
class KeepProbe : public Probe {
 public:
  KeepProbe(int fd, long id, int timeout_ms, int every_ms, int total_ms)
      : Probe(fd, id, timeout_ms),
        timeout_us_(int64_t{timeout_ms} * 1000),
        every_us_(int64_t{std::max(1, every_ms)} * 1000),
        end_(started_ + int64_t{total_ms} * 1000),
        since_(started_) {
    deadline = started_ + every_us_;
  }
  bool ready(uint32_t) override {
    if (int err = connected_ ? 0 : socket_error(); err != 0) return ended(errno_name(err));
    connected_ = true;
    char buf[4096];
    ssize_t n = recv(fd_, buf, sizeof buf, 0);
    if (n < 0 && errno != EAGAIN) return ended(errno_name(errno));
    if (n == 0) return ended(waiting_ ? "closed by the peer" : "");
    if (n > 0) in_.append(buf, static_cast<size_t>(n));
    watch(EPOLLIN);
    if (greeting_.empty()) {
      size_t eol = in_.find('\n');
      if (eol == std::string::npos) return true;
      greeting_ = in_.substr(0, eol);
      in_.erase(0, eol + 1);
      return ask();
    }
    if (!waiting_ || in_.size() < message_.size()) return true;
    if (in_ != message_) return ended("wrong bytes came back");
    in_.clear();
    waiting_ = false;
    requests_++;
    since_ = now_us();
    return since_ < end_ || ended("");
  }
  bool timed_out() override {
    const int64_t now = now_us();
    deadline = now + every_us_;
    if (waiting_) return now - since_ < timeout_us_ || ended(errno_name(ETIMEDOUT));
    if (now >= end_) return ended("");
    // What the server has closed meanwhile is not asked.
    char next;
    if (recv(fd_, &next, 1, MSG_PEEK) == 0) return ended("");
    return now - since_ < every_us_ || ask();
  }

 private:
  bool ask() {
    message_ = payload_for(id_ + requests_, kKeepPayload);
    waiting_ = true;
    since_ = now_us();
    if (send(fd_, message_.data(), message_.size(), MSG_NOSIGNAL) < 0) return ended(errno_name(errno));
    return true;
  }
  bool ended(const std::string& error) {
    const size_t space = greeting_.find(' ');
    const std::string server = space == std::string::npos ? "" : greeting_.substr(space + 1);
    emit("{\"id\":" + std::to_string(id_) + ",\"ok\":" + (error.empty() ? "true" : "false") + ",\"error\":" + quoted(error) +
         ",\"answeredBy\":" + quoted(server) + ",\"requests\":" + std::to_string(requests_) + "}");
    return false;
  }

  int64_t timeout_us_;
  int64_t every_us_;
  int64_t end_;
  int64_t since_;        // when what is waited for was asked, or was answered
  bool waiting_ = true;  // at first for the greeting
  bool connected_ = false;
  long requests_ = 0;
  std::string greeting_;
  std::string message_;
  std::string in_;
};

class UdpProbe : public Probe {
 public:
  UdpProbe(int fd, long id, int timeout_ms) : Probe(fd, id, timeout_ms), payload_(payload_for(id, kUdpPayload)) {}
  bool start() {
    started_ = now_us();
    return send(fd_, payload_.data(), payload_.size(), 0) >= 0;
  }
  bool ready(uint32_t) override {
    char buf[4096];
    ssize_t n = recv(fd_, buf, sizeof buf, 0);
    if (n < 0) return errno == EAGAIN ? true : failed(errno);
    int64_t us = now_us() - started_;
    std::string in(buf, static_cast<size_t>(n));
    size_t eol = in.find('\n');
    if (eol == std::string::npos || in.substr(eol + 1) != payload_) return failed("wrong bytes came back");
    return reached(us, in.substr(0, eol));
  }

 private:
  std::string payload_;
};

class IcmpProbe : public Probe {
 public:
  IcmpProbe(int fd, long id, int timeout_ms, int family) : Probe(fd, id, timeout_ms), family_(family) {
    // struct icmphdr and struct icmp6_hdr begin alike: type, code, checksum, identifier, sequence. The checksum of
    // ICMPv6 is the kernel's work on a raw socket (RFC 3542, section 3.1), that of ICMP ours.
    std::string token = payload_for(id, 56);
    uint8_t type = family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
    packet_.assign(8, '\0');
    packet_[0] = static_cast<char>(type);
    packet_[4] = static_cast<char>(id >> 8);
    packet_[5] = static_cast<char>(id);
    packet_[7] = 1;
    packet_ += token;
    if (family == AF_INET) {
      uint32_t sum = 0;
      for (size_t i = 0; i + 1 < packet_.size(); i += 2) {
        sum += (uint32_t{static_cast<uint8_t>(packet_[i])} << 8) | static_cast<uint8_t>(packet_[i + 1]);
      }
      while ((sum >> 16) != 0) sum = (sum & 0xffff) + (sum >> 16);
      packet_[2] = static_cast<char>(~sum >> 8);
      packet_[3] = static_cast<char>(~sum);
      icmp_filter filter{~(1u << ICMP_ECHOREPLY)};
      setsockopt(fd, SOL_RAW, ICMP_FILTER, &filter, sizeof filter);
    } else {
      icmp6_filter filter{};
      ICMP6_FILTER_SETBLOCKALL(&filter);
      ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
      setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter);
    }
  }
  bool start() {
    started_ = now_us();
    return send(fd_, packet_.data(), packet_.size(), 0) >= 0;
  }
  bool ready(uint32_t) override {
    for (;;) {
      uint8_t buf[2048];
      ssize_t n = recv(fd_, buf, sizeof buf, 0);
      if (n < 0) return errno == EAGAIN ? true : failed(errno);
      int64_t us = now_us() - started_;
      // A raw IPv4 socket delivers the IP header too; its length is in 32-bit words (RFC 791, section 3.1).
      size_t at = family_ == AF_INET && n > 0 ? size_t{buf[0] & 0x0fu} * 4 : 0;
      size_t size = static_cast<size_t>(n);
      // Every raw socket of a namespace gets every echo reply: ours carries our identifier and payload.
      if (size < at || size - at != packet_.size() || memcmp(buf + at + 4, packet_.data() + 4, packet_.size() - 4) != 0) {
        continue;
      }
      return reached(us);
    }
  }

 private:
  int family_;
  std::string packet_;
};
