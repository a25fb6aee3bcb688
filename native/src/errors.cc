#include "errors.h"

#include <uv.h>

namespace heddle {

Napi::Error ToJs(Napi::Env env, const SysError& e) {
  char name[64];
  char text[128];
  uv_err_name_r(-e.err, name, sizeof name);
  uv_strerror_r(-e.err, text, sizeof text);
  std::string message = e.message;
  if (message.empty()) {
    message = std::string(name) + ": " + text + ", " + e.syscall;
    if (!e.subject.empty()) message += " '" + e.subject + "'";
  }
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("errno", Napi::Number::New(env, e.err));
  error.Set("code", Napi::String::New(env, e.code.empty() ? name : e.code));
  error.Set("syscall", Napi::String::New(env, e.syscall));
  if (!e.subject.empty()) error.Set("path", Napi::String::New(env, e.subject));
  return error;
}

Napi::Error CodedError(Napi::Env env, const char* code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

}  // namespace heddle
