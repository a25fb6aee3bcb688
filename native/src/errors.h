// Failures of system calls on their way from a worker thread to a JavaScript error.
#pragma once

#include <napi.h>

#include <exception>
#include <string>

namespace heddle {

// What failed: the errno, the call that gave it, and what it was about (a path, a sysctl), as Node's own errors have it.
struct SysError : std::exception {
  SysError(int err_, std::string syscall_, std::string subject_ = {})
      : err(err_), syscall(std::move(syscall_)), subject(std::move(subject_)) {}
  const char* what() const noexcept override { return syscall.c_str(); }

  int err;
  std::string syscall;
  std::string subject;
  // Replaces the errno's name in `code`, for what no errno says ("NOT_A_NETNS").
  std::string code;
  // Replaces the message.
  std::string message;
};

// An Error with `errno`, `code`, `syscall` and, where there is one, `path`. Called on the JavaScript thread.
Napi::Error ToJs(Napi::Env env, const SysError& e);

// An Error with a code and no errno.
Napi::Error CodedError(Napi::Env env, const char* code, const std::string& message);

}  // namespace heddle
