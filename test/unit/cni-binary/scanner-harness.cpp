// The executable's JSON scanner behind a pipe, built with sanitizers. Standard input holds texts, each after its length
// (4 bytes, big endian); for each a line comes back: "bad AT", or "ok" and the three fields' kind with, for a string,
// its bytes in hexadecimal. The same file is a libFuzzer target where there is clang:
//   clang++ -std=c++17 -g -fsanitize=fuzzer,address,undefined -DFUZZER -Icmd/cni-binary \
//     test/unit/cni-binary/scanner-harness.cpp cmd/cni-binary/json.cpp
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "json.h"

using namespace heddle;

static void look(const char* text, size_t length, FILE* out) {
  JsonField fields[] = {{"cniVersion", {}}, {"cniSocket", {}}, {"cniTimeoutSeconds", {}}};
  const JsonProblem problem = scanObject(std::string_view(text, length), fields, 3);
  if (problem.what != nullptr) {
    if (problem.at > length) abort();
    fprintf(out, "bad %zu\n", problem.at);
    return;
  }
  fprintf(out, "ok");
  for (const JsonField& field : fields) {
    fprintf(out, " %d", static_cast<int>(field.value.kind));
    if (field.value.kind != JsonValue::Kind::String) continue;
    char bytes[107];
    size_t count = 0;
    if (!decodeString(field.value.raw, bytes, sizeof bytes, count)) {
      fprintf(out, ":long");
      continue;
    }
    fprintf(out, ":");
    for (size_t i = 0; i < count; i++) fprintf(out, "%02x", static_cast<unsigned char>(bytes[i]));
  }
  fprintf(out, "\n");
}

#ifdef FUZZER
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static FILE* nowhere = fopen("/dev/null", "w");
  look(reinterpret_cast<const char*>(data), size, nowhere);
  return 0;
}
#else
int main() {
  unsigned char prefix[4];
  while (fread(prefix, 1, 4, stdin) == 4) {
    const size_t length = static_cast<size_t>(prefix[0]) << 24 | prefix[1] << 16 | prefix[2] << 8 | prefix[3];
    // Of exactly this size, for the address sanitizer to see the first byte beyond.
    char* text = static_cast<char*>(malloc(length == 0 ? 1 : length));
    if (fread(text, 1, length, stdin) != length) return 1;
    look(text, length, stdout);
    free(text);
  }
  return 0;
}
#endif
