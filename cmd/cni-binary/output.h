// What the process says on its way out. Nothing after these calls runs.
#pragma once

#include <string_view>

namespace heddle {

// The codes of src/pods/cni/errors.ts.
enum Code : unsigned { Environment = 4, Io = 5, Decoding = 6, Config = 7, TryAgain = 11, NotAvailable = 50 };

// Writes to standard output and ends the process: with 1 instead of `exitCode` if nobody reads.
[[noreturn]] void finish(std::string_view text, int exitCode);

// Answers with an error object (SPEC.md section 5 "Error").
[[noreturn]] void fail(Code code, std::string_view msg, std::string_view details);

// A signal has ended a wait.
[[noreturn]] void stopped();

// The version errors are answered in from now on, as JSON with its quotes. Plain ASCII without control characters.
void adoptVersion(std::string_view quoted);

// Until one is adopted, the newest.
std::string_view answeredVersion();

}  // namespace heddle
