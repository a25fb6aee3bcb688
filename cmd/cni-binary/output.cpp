#include "output.h"

#include <unistd.h>

#include "text.h"
#include "wait.h"

namespace heddle {
namespace {

std::string_view version = "\"1.1.0\"";

}  // namespace

void adoptVersion(std::string_view quoted) { version = quoted; }

std::string_view answeredVersion() { return version; }

void finish(std::string_view text, int exitCode) {
  releaseSignals();
  const bool written = writeAll(STDOUT_FILENO, text.data(), text.size());
  _exit(written ? exitCode : 1);
}

void fail(Code code, std::string_view msg, std::string_view details) {
  static Text<8192> out;
  out.append("{\"cniVersion\":");
  out.append(version);
  out.append(",\"code\":");
  out.appendNumber(code);
  out.append(",\"msg\":\"");
  out.appendJson(msg);
  out.append("\",\"details\":\"");
  // No byte becomes more than six (\u00XX), and what surrounds it is short: 1000 * 6 < 8192, the end is never cut off.
  out.appendJson(details.substr(0, 1000));
  out.append("\"}\n");
  finish(out.view(), 1);
}

void stopped() {
  Text<128> why;
  why.append("signal ");
  why.appendNumber(static_cast<unsigned long>(stopSignal()));
  why.append(" arrived; whether the operation took effect is unknown");
  fail(TryAgain, "interrupted", why.view());
}

}  // namespace heddle
