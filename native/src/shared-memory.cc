#include "shared-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <atomic>
#include <utility>

#include "errors.h"
#include "socket.h"

namespace heddle {
namespace {

Fd ReceiveFd(int socket, const std::string& path) {
  char byte;
  iovec io = {&byte, sizeof byte};
  // Room for more than the one that is expected: what does not fit would be dropped, what fits is closed below.
  alignas(cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))];
  msghdr message = {};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n;
  do {
    n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0) throw SysError(errno == EAGAIN ? ETIMEDOUT : errno, "recvmsg", path);
  Fd received;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      Fd owned(fd);
      if (!received) received = std::move(owned);
    }
  }
  if (!received) throw SysError(EPROTO, "recvmsg", path);
  return received;
}

}  // namespace

Mapping::Mapping(Mapping&& other) noexcept
    : fd_(std::move(other.fd_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    Reset();
    fd_ = std::move(other.fd_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void Mapping::Reset() {
  if (data_ != nullptr) munmap(const_cast<void*>(std::exchange(data_, nullptr)), std::exchange(size_, 0));
  fd_.Reset();
}

bool Mapping::Copy(size_t offset, size_t length, uint8_t* target) const {
  struct stat st;
  if (fstat(fd_.get(), &st) != 0 || static_cast<uint64_t>(st.st_size) < size_) return false;
  const auto* source = static_cast<const uint8_t*>(data_) + offset;
  // The writer is another process: what was read before must not move behind this, nor this behind what follows.
  std::atomic_thread_fence(std::memory_order_acquire);
  size_t i = 0;
  if (offset % sizeof(uint64_t) == 0) {
    for (; i + sizeof(uint64_t) <= length; i += sizeof(uint64_t)) {
      uint64_t word = __atomic_load_n(reinterpret_cast<const uint64_t*>(source + i), __ATOMIC_RELAXED);
      memcpy(target + i, &word, sizeof word);
    }
  }
  memcpy(target + i, source + i, length - i);
  std::atomic_thread_fence(std::memory_order_acquire);
  return true;
}

Mapping ReceiveMapping(const std::string& path, int timeout_ms) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) throw SysError(ENAMETOOLONG, "connect", path);
  memcpy(address.sun_path, path.data(), path.size());
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) throw SysError(errno, "socket", path);
  // Also bounds connect(): a full backlog makes it wait (unix_stream_connect in net/unix/af_unix.c).
  timeval timeout = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
  for (int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    if (setsockopt(socket.get(), SOL_SOCKET, option, &timeout, sizeof timeout) != 0)
      throw SysError(errno, "setsockopt", path);
  }
  if (connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    throw SysError(errno == EAGAIN ? ETIMEDOUT : errno, "connect", path);
  Fd memory = ReceiveFd(socket.get(), path);
  struct stat st;
  if (fstat(memory.get(), &st) != 0) throw SysError(errno, "fstat", path);
  if (!S_ISREG(st.st_mode) || st.st_size <= 0) throw SysError(EPROTO, "fstat", path);
  auto size = static_cast<size_t>(st.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_SHARED, memory.get(), 0);
  if (data == MAP_FAILED) throw SysError(errno, "mmap", path);
  return Mapping(std::move(memory), data, size);
}

Napi::Function SharedMemory::Define(Napi::Env env) {
  return DefineClass(env, "SharedMemory",
                     {
                         InstanceMethod<&SharedMemory::Read>("read"),
                         InstanceMethod<&SharedMemory::Close>("close"),
                         InstanceAccessor<&SharedMemory::Size>("size"),
                     });
}

Napi::Value SharedMemory::Create(Napi::Env env, Mapping& mapping) {
  return env.GetInstanceData<AddonData>()->shared_memory.New({Napi::External<Mapping>::New(env, &mapping)});
}

SharedMemory::SharedMemory(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  if (info.Length() != 1 || !info[0].IsExternal())
    throw Napi::TypeError::New(info.Env(), "shared memory comes from receiveMemory()");
  mapping_ = std::move(*info[0].As<Napi::External<Mapping>>().Data());
}

Napi::Value SharedMemory::Size(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(mapping_.size()));
}

// read(offset, length, target): void
void SharedMemory::Read(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() != 3 || !info[0].IsNumber() || !info[1].IsNumber() || !info[2].IsTypedArray() ||
      info[2].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    throw Napi::TypeError::New(env, "read(offset: number, length: number, target: Uint8Array)");
  if (!mapping_.is_open()) throw CodedError(env, "CLOSED", "the shared memory is closed");
  // Compared as doubles first: NaN, fractions, negative and huge values all fail here.
  double offset = info[0].As<Napi::Number>().DoubleValue();
  double length = info[1].As<Napi::Number>().DoubleValue();
  auto size = static_cast<double>(mapping_.size());
  auto target = info[2].As<Napi::Uint8Array>();
  if (!(offset >= 0 && length >= 0 && offset <= size && length <= size - offset) ||
      offset != static_cast<double>(static_cast<size_t>(offset)) ||
      length != static_cast<double>(static_cast<size_t>(length)) || length > static_cast<double>(target.ByteLength()))
    throw CodedError(env, "OUT_OF_BOUNDS", "outside the shared memory or the target");
  if (!mapping_.Copy(static_cast<size_t>(offset), static_cast<size_t>(length), target.Data()))
    throw CodedError(env, "OUT_OF_BOUNDS", "the shared memory was cut short");
}

void SharedMemory::Close(const Napi::CallbackInfo&) { mapping_.Reset(); }

}  // namespace heddle
