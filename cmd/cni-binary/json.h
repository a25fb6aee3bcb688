// The little of JSON the executable needs: is this one object, and what are the values of a few of its keys? All logic
// is in the agent; but where the agent listens is in the configuration, and the agent may be away.
#pragma once

#include <cstddef>
#include <string_view>

namespace heddle {

struct JsonValue {
  enum class Kind { Absent, String, Number, Other };
  Kind kind = Kind::Absent;
  // The value as it is written, a string with its quotes.
  std::string_view raw;
};

struct JsonField {
  const char* key;
  JsonValue value;
};

struct JsonProblem {
  // nullptr: there is none.
  const char* what = nullptr;
  // Offset in bytes.
  size_t at = 0;
};

// Checks that `text` is exactly one JSON object (RFC 8259, at most 128 levels deep) and fills in the fields whose keys
// it has at the top level; of a repeated key the last counts, as for JSON.parse. That strings are UTF-8 is not checked.
JsonProblem scanObject(std::string_view text, JsonField* fields, size_t fieldCount);

// Decodes a string's `raw` into UTF-8, without a closing NUL. False if it has more than `capacity` bytes.
bool decodeString(std::string_view raw, char* out, size_t capacity, size_t& length);

}  // namespace heddle
