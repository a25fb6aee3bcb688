// Memory that another process shares over a Unix socket, read-only: VPP's statistics segment.
#pragma once

#include <napi.h>
#include <stddef.h>
#include <stdint.h>

#include <string>

#include "fd.h"

namespace heddle {

// A read-only mapping with the descriptor it came from.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Fd fd, const void* data, size_t size) : fd_(std::move(fd)), data_(data), size_(size) {}
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping() { Reset(); }

  size_t size() const { return size_; }
  bool is_open() const { return data_ != nullptr; }
  void Reset();
  // Copies [offset, offset + length), which the caller has checked against size(). Aligned words are read whole, so that
  // a counter is never half old and half new. False if the memory has been cut short since: touching it would be SIGBUS.
  bool Copy(size_t offset, size_t length, uint8_t* target) const;

 private:
  Fd fd_;
  const void* data_ = nullptr;
  size_t size_ = 0;
};

// Connects to a SOCK_SEQPACKET listener that answers with one descriptor (SCM_RIGHTS), and maps what it stands for.
// Blocks for `timeout_ms` at most: a process that hangs accepts connections all the same.
Mapping ReceiveMapping(const std::string& path, int timeout_ms);

// The JavaScript face.
class SharedMemory : public Napi::ObjectWrap<SharedMemory> {
 public:
  static Napi::Function Define(Napi::Env env);
  static Napi::Value Create(Napi::Env env, Mapping& mapping);

  explicit SharedMemory(const Napi::CallbackInfo& info);

 private:
  Napi::Value Size(const Napi::CallbackInfo& info);
  void Read(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  Mapping mapping_;
};

}  // namespace heddle
