#include "json.h"

#include <cstring>

namespace heddle {
namespace {

constexpr int MAX_DEPTH = 128;
// The longest key anyone looks for is cniTimeoutSeconds; 17 < 32.
constexpr size_t MAX_KEY = 32;

bool isDigit(int c) { return c >= '0' && c <= '9'; }

int hexValue(int c) {
  if (isDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  JsonProblem run(JsonField* fields, size_t fieldCount) {
    skipSpace();
    if (peek() != '{') {
      fail(text_.empty() ? "there is no input" : "it does not start with {");
    } else if (object(1, fields, fieldCount)) {
      skipSpace();
      if (at_ < text_.size()) fail("something follows the object");
    }
    return problem_;
  }

 private:
  // -1 at the end: every look ahead goes through here, so nothing is read beyond it.
  int peek() const { return at_ < text_.size() ? static_cast<unsigned char>(text_[at_]) : -1; }

  bool fail(const char* what) {
    // The first problem is the one worth telling.
    if (problem_.what == nullptr) problem_ = JsonProblem{at_ < text_.size() ? what : "it ends too early", at_};
    if (text_.empty()) problem_.what = what;
    return false;
  }

  void skipSpace() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') at_++;
  }

  bool expect(char c, const char* what) {
    if (peek() != c) return fail(what);
    at_++;
    return true;
  }

  bool value(int depth, JsonValue& out) {
    const size_t start = at_;
    JsonValue::Kind kind = JsonValue::Kind::Other;
    bool good;
    const int c = peek();
    if (c == '"') {
      kind = JsonValue::Kind::String;
      good = string();
    } else if (c == '{') {
      good = object(depth + 1, nullptr, 0);
    } else if (c == '[') {
      good = array(depth + 1);
    } else if (c == '-' || isDigit(c)) {
      kind = JsonValue::Kind::Number;
      good = number();
    } else {
      good = word("true") || word("false") || word("null") || fail("no value where one is expected");
    }
    if (good) out = JsonValue{kind, text_.substr(start, at_ - start)};
    return good;
  }

  bool object(int depth, JsonField* fields, size_t fieldCount) {
    if (depth > MAX_DEPTH) return fail("it is nested too deeply");
    at_++;
    skipSpace();
    if (peek() == '}') {
      at_++;
      return true;
    }
    for (;;) {
      const size_t keyStart = at_;
      if (peek() != '"') return fail("no key where one is expected");
      if (!string()) return false;
      const std::string_view key = text_.substr(keyStart, at_ - keyStart);
      skipSpace();
      if (!expect(':', "no : after a key")) return false;
      skipSpace();
      JsonValue found;
      if (!value(depth, found)) return false;
      JsonField* field = find(key, fields, fieldCount);
      if (field != nullptr) field->value = found;
      skipSpace();
      if (peek() != ',') return expect('}', "neither , nor } after a value");
      at_++;
      skipSpace();
    }
  }

  bool array(int depth) {
    if (depth > MAX_DEPTH) return fail("it is nested too deeply");
    at_++;
    skipSpace();
    if (peek() == ']') {
      at_++;
      return true;
    }
    for (;;) {
      JsonValue ignored;
      if (!value(depth, ignored)) return false;
      skipSpace();
      if (peek() != ',') return expect(']', "neither , nor ] after a value");
      at_++;
      skipSpace();
    }
  }

  bool string() {
    at_++;
    for (;;) {
      const int c = peek();
      if (c < 0x20) return fail("a control character in a string");
      at_++;
      if (c == '"') return true;
      if (c == '\\' && !escape()) return false;
    }
  }

  bool escape() {
    const int c = peek();
    if (c == 'u') {
      at_++;
      for (int i = 0; i < 4; i++) {
        if (hexValue(peek()) < 0) return fail("\\u without four hexadecimal digits");
        at_++;
      }
      return true;
    }
    // Not memchr over a literal with its NUL: \0 would pass.
    if (c < 0 || std::string_view("\"\\/bfnrt").find(static_cast<char>(c)) == std::string_view::npos) {
      return fail("an unknown escape in a string");
    }
    at_++;
    return true;
  }

  bool digits() {
    if (!isDigit(peek())) return fail("no digit where one is expected");
    while (isDigit(peek())) at_++;
    return true;
  }

  bool number() {
    if (peek() == '-') at_++;
    if (peek() == '0') {
      at_++;
    } else if (!digits()) {
      return false;
    }
    if (peek() == '.') {
      at_++;
      if (!digits()) return false;
    }
    if (peek() == 'e' || peek() == 'E') {
      at_++;
      if (peek() == '+' || peek() == '-') at_++;
      if (!digits()) return false;
    }
    return true;
  }

  bool word(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) return false;
    at_ += expected.size();
    return true;
  }

  static JsonField* find(std::string_view rawKey, JsonField* fields, size_t fieldCount) {
    char key[MAX_KEY];
    size_t length = 0;
    if (fieldCount == 0 || !decodeString(rawKey, key, sizeof key, length)) return nullptr;
    for (size_t i = 0; i < fieldCount; i++) {
      if (std::string_view(key, length) == fields[i].key) return &fields[i];
    }
    return nullptr;
  }

  std::string_view text_;
  size_t at_ = 0;
  JsonProblem problem_;
};

unsigned hex4(const char* digits) {
  unsigned value = 0;
  for (int i = 0; i < 4; i++) value = value * 16 + static_cast<unsigned>(hexValue(static_cast<unsigned char>(digits[i])));
  return value;
}

// The number of bytes; 3 for a lone surrogate, which is kept as it is.
size_t encodeUtf8(unsigned code, char out[4]) {
  if (code < 0x80) {
    out[0] = static_cast<char>(code);
    return 1;
  }
  if (code < 0x800) {
    out[0] = static_cast<char>(0xc0 | code >> 6);
    out[1] = static_cast<char>(0x80 | (code & 0x3f));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = static_cast<char>(0xe0 | code >> 12);
    out[1] = static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out[2] = static_cast<char>(0x80 | (code & 0x3f));
    return 3;
  }
  out[0] = static_cast<char>(0xf0 | code >> 18);
  out[1] = static_cast<char>(0x80 | (code >> 12 & 0x3f));
  out[2] = static_cast<char>(0x80 | (code >> 6 & 0x3f));
  out[3] = static_cast<char>(0x80 | (code & 0x3f));
  return 4;
}

}  // namespace

JsonProblem scanObject(std::string_view text, JsonField* fields, size_t fieldCount) {
  return Scanner(text).run(fields, fieldCount);
}

bool decodeString(std::string_view raw, char* out, size_t capacity, size_t& length) {
  static const char plain[] = "bfnrt";
  static const char meaning[] = "\b\f\n\r\t";
  length = 0;
  // The scanner has seen this text: escapes are whole, and the quotes are there.
  for (size_t i = 1; i + 1 < raw.size();) {
    char bytes[4] = {raw[i]};
    size_t count = 1;
    if (raw[i] != '\\') {
      i++;
    } else if (raw[i + 1] != 'u') {
      const char* which = strchr(plain, raw[i + 1]);
      bytes[0] = which != nullptr ? meaning[which - plain] : raw[i + 1];
      i += 2;
    } else {
      unsigned code = hex4(&raw[i + 2]);
      i += 6;
      const bool high = code >= 0xd800 && code < 0xdc00;
      // + 1: the closing quote.
      if (high && i + 6 + 1 <= raw.size() && raw[i] == '\\' && raw[i + 1] == 'u') {
        const unsigned low = hex4(&raw[i + 2]);
        if (low >= 0xdc00 && low < 0xe000) {
          code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          i += 6;
        }
      }
      count = encodeUtf8(code, bytes);
    }
    if (capacity - length < count) return false;
    memcpy(out + length, bytes, count);
    length += count;
  }
  return true;
}

}  // namespace heddle
