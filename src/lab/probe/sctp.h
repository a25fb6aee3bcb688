// SCTP as far as reachability needs it (RFC 9260): INIT, INIT ACK and ABORT over raw sockets, for kernels without SCTP.
// What stands between the ends and tracks associations takes them for real ones: checksums, tags and parameters are.
#pragma once

#include <array>
#include <random>

#include "probes.h"
#include "servers.h"

constexpr int kSctpFirstResendUs = 100 * 1000;
constexpr int kSctpMostResendUs = 1000 * 1000;  // RTO.Initial, section 16
constexpr char kSctpCookieMagic[] = "hdprobe seen as ";

enum SctpChunk : uint8_t { kSctpInit = 1, kSctpInitAck = 2, kSctpAbort = 6 };
constexpr uint16_t kSctpStateCookie = 7;

// CRC32c, reflected, as in appendix A.
inline uint32_t crc32c(const uint8_t* data, size_t size) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> t{};
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t c = i;
      for (int bit = 0; bit < 8; bit++) c = (c & 1) != 0 ? (c >> 1) ^ 0x82f63b78u : c >> 1;
      t[i] = c;
    }
    return t;
  }();
  uint32_t crc = ~0u;
  for (size_t i = 0; i < size; i++) crc = (crc >> 8) ^ table[(crc ^ data[i]) & 0xff];
  return ~crc;
}

inline void put16(std::string* out, uint32_t v) {
  out->push_back(static_cast<char>(v >> 8));
  out->push_back(static_cast<char>(v));
}
inline void put32(std::string* out, uint32_t v) {
  put16(out, v >> 16);
  put16(out, v & 0xffff);
}
inline uint32_t get32(const uint8_t* p) {
  return uint32_t{p[0]} << 24 | uint32_t{p[1]} << 16 | uint32_t{p[2]} << 8 | p[3];
}
inline int get16(const uint8_t* p) { return p[0] << 8 | p[1]; }

// A packet of one chunk. The checksum goes over the packet with zeros in its place, and is sent lowest byte first.
inline std::string sctp_packet(int from, int to, uint32_t tag, uint8_t type, uint8_t flags, const std::string& body) {
  std::string out;
  put16(&out, static_cast<uint32_t>(from));
  put16(&out, static_cast<uint32_t>(to));
  put32(&out, tag);
  put32(&out, 0);
  out.push_back(static_cast<char>(type));
  out.push_back(static_cast<char>(flags));
  put16(&out, static_cast<uint32_t>(4 + body.size()));
  out += body;
  while (out.size() % 4 != 0) out.push_back('\0');
  const uint32_t crc = crc32c(reinterpret_cast<const uint8_t*>(out.data()), out.size());
  for (int i = 0; i < 4; i++) out[static_cast<size_t>(8 + i)] = static_cast<char>(crc >> (8 * i));
  return out;
}

// What INIT and INIT ACK have in common: tag, window, streams out and in, first TSN.
inline std::string sctp_init_body(uint32_t tag) {
  std::string body;
  put32(&body, tag);
  put32(&body, 65536);
  put16(&body, 1);
  put16(&body, 1);
  put32(&body, tag);
  return body;
}

struct SctpPacket {
  int from = 0;
  int to = 0;
  uint32_t tag = 0;
  uint8_t type = 0;
  std::string body;

  // Of the first chunk. False: damaged, or too short to be one.
  static bool parse(const uint8_t* data, size_t size, SctpPacket* out) {
    if (size < 16) return false;
    std::string copy(reinterpret_cast<const char*>(data), size);
    for (size_t i = 8; i < 12; i++) copy[i] = '\0';
    const uint32_t crc = crc32c(reinterpret_cast<const uint8_t*>(copy.data()), size);
    for (int i = 0; i < 4; i++) {
      if (data[8 + i] != static_cast<uint8_t>(crc >> (8 * i))) return false;
    }
    const auto length = static_cast<size_t>(get16(data + 14));
    if (length < 4 || 12 + length > size) return false;
    out->from = get16(data);
    out->to = get16(data + 2);
    out->tag = get32(data + 4);
    out->type = data[12];
    out->body = copy.substr(16, length - 4);
    return true;
  }
  bool has_init() const { return (type == kSctpInit || type == kSctpInitAck) && body.size() >= 16; }
  uint32_t init_tag() const { return get32(reinterpret_cast<const uint8_t*>(body.data())); }
};

// A raw IPv4 socket delivers the IP header too; its length is in 32-bit words (RFC 791, section 3.1).
inline size_t sctp_offset(int family, const uint8_t* packet, size_t size) {
  return family == AF_INET && size > 0 ? std::min(size, size_t{packet[0] & 0x0fu} * 4) : 0;
}

inline uint32_t sctp_random_tag() {
  static std::mt19937 random(std::random_device{}());
  return static_cast<uint32_t>(random()) | 1;  // never 0, section 3.3.2
}

// Sends INIT, again and again, until INIT ACK or ABORT comes. An association that would have been is aborted.
class SctpProbe : public Probe {
 public:
  SctpProbe(int fd, long id, int timeout_ms, const Endpoint& to, int to_port, int from_port)
      : Probe(fd, id, timeout_ms), family_(to.family()), to_(to_port), tag_(sctp_random_tag()), end_(deadline) {
    // Ports that no other probe of the last minute had: a tracker would take it for the same association.
    static int last = 0;
    from_ = from_port != 0 ? from_port : 32768 + (last = (last + 1) % 28000);
    init_ = sctp_packet(from_, to_, 0, kSctpInit, 0, sctp_init_body(tag_));
  }
  bool start() {
    started_ = now_us();
    next_deadline();
    return send(fd_, init_.data(), init_.size(), 0) >= 0;
  }
  bool timed_out() override {
    if (now_us() >= end_) return Probe::timed_out();
    (void)!send(fd_, init_.data(), init_.size(), 0);
    next_deadline();
    return true;
  }
  bool ready(uint32_t) override {
    for (;;) {
      uint8_t buf[2048];
      ssize_t n = recv(fd_, buf, sizeof buf, 0);
      if (n < 0) return errno == EAGAIN ? true : failed(errno);
      const auto size = static_cast<size_t>(n);
      const size_t at = sctp_offset(family_, buf, size);
      SctpPacket in;
      // Every raw socket of a namespace gets every packet of the address that it is connected to.
      if (!SctpPacket::parse(buf + at, size - at, &in) || in.from != to_ || in.to != from_) continue;
      if (in.type == kSctpAbort) return failed(ECONNREFUSED);
      if (in.type != kSctpInitAck || in.tag != tag_ || !in.has_init()) continue;
      const int64_t us = now_us() - started_;
      const std::string abort = sctp_packet(from_, to_, in.init_tag(), kSctpAbort, 0, "");
      (void)!send(fd_, abort.data(), abort.size(), 0);
      return reached(us, seen_as(in.body));
    }
  }

 private:
  void next_deadline() {
    deadline = std::min(end_, now_us() + wait_us_);
    wait_us_ = std::min(2 * wait_us_, kSctpMostResendUs);
  }
  // Our own server's cookie says it; another one's is nobody's business.
  static std::string seen_as(const std::string& body) {
    const size_t at = body.find(kSctpCookieMagic, 16);
    if (at == std::string::npos) return "";
    const size_t from = at + sizeof kSctpCookieMagic - 1;
    return body.substr(from, body.find(';', from) - from);
  }

  int family_;
  int to_;
  int from_ = 0;
  uint32_t tag_;
  int64_t end_;
  int wait_us_ = kSctpFirstResendUs;
  std::string init_;
};

// One for each family of a namespace, whatever the number of its ports: each raw socket gets all packets.
class SctpServer : public Handler {
 public:
  SctpServer(int fd, int family) : Handler(fd), family_(family) {}
  int family() const { return family_; }
  std::set<int> ports;

  bool ready(uint32_t) override {
    for (;;) {
      uint8_t buf[2048];
      char control[256];
      Endpoint peer;
      iovec in{buf, sizeof buf};
      msghdr msg{};
      msg.msg_name = &peer.ss;
      msg.msg_namelen = sizeof peer.ss;
      msg.msg_iov = &in;
      msg.msg_iovlen = 1;
      msg.msg_control = control;
      msg.msg_controllen = sizeof control;
      ssize_t n = recvmsg(fd_, &msg, 0);
      if (n < 0) return true;  // EAGAIN, or an ICMP error of an earlier answer
      const auto size = static_cast<size_t>(n);
      const size_t at = sctp_offset(family_, buf, size);
      SctpPacket packet;
      if (!SctpPacket::parse(buf + at, size - at, &packet) || packet.type != kSctpInit || !packet.has_init()) continue;
      std::string answer = ports.count(packet.to) != 0 ? accept(packet, peer.address()) : refuse(packet);
      iovec out{answer.data(), answer.size()};
      msg.msg_iov = &out;
      answer_from_asked(&msg);
      (void)!sendmsg(fd_, &msg, MSG_NOSIGNAL);
    }
  }

 private:
  static std::string accept(const SctpPacket& init, const std::string& seen_as) {
    std::string body = sctp_init_body(sctp_random_tag());
    const std::string cookie = kSctpCookieMagic + seen_as + ";";
    put16(&body, kSctpStateCookie);
    put16(&body, static_cast<uint32_t>(4 + cookie.size()));
    body += cookie;
    return sctp_packet(init.to, init.from, init.init_tag(), kSctpInitAck, 0, body);
  }
  // Section 8.4, item 3: with the tag of the INIT that nobody waits for.
  static std::string refuse(const SctpPacket& init) {
    return sctp_packet(init.to, init.from, init.init_tag(), kSctpAbort, 0, "");
  }
  int family_;
};

// A listening socket of the kernel's: the kernel answers, and what comes then is of no interest.
class SctpListener : public Handler {
 public:
  using Handler::Handler;
  bool ready(uint32_t) override {
    char buf[2048];
    while (recv(fd_, buf, sizeof buf, 0) > 0) {
    }
    return true;
  }
};

// Answers INITs to a port. Where the kernel has SCTP it does so: otherwise it would abort what a raw socket accepts.
inline bool serve_sctp(const std::string& ns, int port, std::vector<std::unique_ptr<Handler>>* servers) {
  for (int family : {AF_INET, AF_INET6}) {
    Endpoint any;
    Endpoint::parse(family == AF_INET ? "0.0.0.0" : "::", port, &any);
    int fd = socket_in(ns, family, SOCK_SEQPACKET, IPPROTO_SCTP);
    if (fd >= 0) {
      int on = 1;
      if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
      servers->push_back(std::make_unique<SctpListener>(fd));
      servers->back()->owner = ns;
      if (bind(fd, any.sa(), any.len) != 0 || listen(fd, 1024) != 0) return false;
      continue;
    }
    SctpServer* server = nullptr;
    for (auto& [h, owned] : g_handlers) {
      auto* known = dynamic_cast<SctpServer*>(h);
      if (known != nullptr && known->owner == ns && known->family() == family) server = known;
    }
    if (server == nullptr) {
      fd = socket_in(ns, family, SOCK_RAW, IPPROTO_SCTP);
      if (fd < 0) {
        if (family == AF_INET6 && errno == EAFNOSUPPORT) continue;
        return false;
      }
      tell_destination(fd, family);
      auto made = std::make_unique<SctpServer>(fd, family);
      made->owner = ns;
      server = made.get();
      adopt(std::move(made), EPOLLIN);
    }
    if (!server->ports.insert(port).second) {
      errno = EADDRINUSE;
      return false;
    }
  }
  return true;
}

inline void serve(long id, const std::string& ns, int port) {
  std::vector<std::unique_ptr<Handler>> servers;
  for (int family : {AF_INET, AF_INET6}) {
    for (int type : {SOCK_STREAM, SOCK_DGRAM}) {
      int fd = bind_in(ns, family, type, port);
      if (fd < 0) {
        if (family == AF_INET6 && errno == EAFNOSUPPORT) continue;
        return fail(id, errno_name(errno));
      }
      if (type == SOCK_STREAM) {
        servers.push_back(std::make_unique<TcpServer>(fd));
      } else {
        servers.push_back(std::make_unique<UdpServer>(fd));
      }
      servers.back()->owner = ns;
    }
  }
  if (!serve_sctp(ns, port, &servers)) return fail(id, errno_name(errno));
  for (auto& server : servers) adopt(std::move(server), EPOLLIN);
  emit("{\"id\":" + std::to_string(id) + ",\"ok\":true}");
}
