// Text in fixed memory: the executable allocates nothing, so that nothing of it can fail half-way.
#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>

namespace heddle {

// Appends into memory of the caller's. What does not fit is cut off, and `full()` says so.
class TextBuffer {
 public:
  TextBuffer(char* memory, size_t capacity) : memory_(memory), capacity_(capacity) {}

  void append(std::string_view text) {
    const size_t room = capacity_ - length_;
    const size_t taken = text.size() < room ? text.size() : room;
    memcpy(memory_ + length_, text.data(), taken);
    length_ += taken;
    if (taken < text.size()) full_ = true;
  }

  void append(char c) { append(std::string_view(&c, 1)); }

  void appendNumber(unsigned long value) {
    char digits[20];
    size_t at = sizeof digits;
    do {
      digits[--at] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    append(std::string_view(digits + at, sizeof digits - at));
  }

  // As the inside of a JSON string. Bytes outside of ASCII become '?': they come from the environment or a broken
  // answer, and the output must be valid JSON whatever they are.
  void appendJson(std::string_view text) {
    static const char hex[] = "0123456789abcdef";
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte == '"' || byte == '\\') {
        append('\\');
        append(c);
      } else if (byte < 0x20 || byte == 0x7f) {
        append("\\u00");
        append(hex[byte >> 4]);
        append(hex[byte & 15]);
      } else {
        append(byte < 0x80 ? c : '?');
      }
    }
  }

  // RFC 3986 section 2.1: everything but unreserved characters and '/' as %XX.
  void appendPercent(std::string_view text) {
    static const char hex[] = "0123456789ABCDEF";
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      const bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
                         byte == '-' || byte == '.' || byte == '_' || byte == '~' || byte == '/';
      if (plain) {
        append(c);
      } else {
        append('%');
        append(hex[byte >> 4]);
        append(hex[byte & 15]);
      }
    }
  }

  std::string_view view() const { return std::string_view(memory_, length_); }
  bool full() const { return full_; }

 private:
  char* memory_;
  size_t capacity_;
  size_t length_ = 0;
  bool full_ = false;
};

// A TextBuffer with memory of its own.
template <size_t Capacity>
class Text : public TextBuffer {
 public:
  Text() : TextBuffer(bytes_, Capacity) {}
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;

 private:
  char bytes_[Capacity];
};

}  // namespace heddle
