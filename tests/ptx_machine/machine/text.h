// SPDX-License-Identifier: BSD-3-Clause
//
// A reader of PTX tokens.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "fault.h"

namespace ptx {

struct Text {
  const char* at;
  const char* end;

  static bool in_word(char c) {
    return isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%' || c == '.';
  }

  // Past white space and comments.
  void skip() {
    for (;;) {
      while (at < end && isspace(static_cast<unsigned char>(*at))) ++at;
      if (at + 1 < end && at[0] == '/' && at[1] == '/') {
        skip_line();
      } else if (at + 1 < end && at[0] == '/' && at[1] == '*') {
        at += 2;
        while (at + 1 < end && !(at[0] == '*' && at[1] == '/')) ++at;
        at += 2;
      } else {
        return;
      }
    }
  }
  void skip_line() {
    while (at < end && *at != '\n') ++at;
  }
  void skip_past(char c) {
    while (!take(c)) ++at;
  }
  // Past the braces that come next, and all between them.
  void skip_body() {
    int depth = 0;
    do {
      skip();
      if (at >= end) unsupported("PTX: a body without an end");
      if (*at == '"') {
        do ++at;
        while (*at != '"');
      }
      if (*at == '{') ++depth;
      if (*at == '}') --depth;
      ++at;
    } while (depth > 0);
  }

  bool at_end() {
    skip();
    return at >= end;
  }
  char peek() {
    skip();
    return at < end ? *at : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at;
    return true;
  }
  void expect(char c) {
    if (!take(c)) unsupported(std::string("PTX: expected '") + c + "', got: " + rest());
  }
  std::string word() {
    skip();
    const char* begin = at;
    while (at < end && in_word(*at)) ++at;
    return {begin, at};
  }
  std::string peek_word() {
    const char* before = at;
    std::string found = word();
    at = before;
    return found;
  }
  int number() { return std::stoi(word()); }
  std::string quoted() {
    expect('"');
    const char* begin = at;
    while (at < end && *at != '"') ++at;
    return {begin, at++};
  }
  std::string rest() const { return {at, static_cast<size_t>(end - at < 60 ? end - at : 60)}; }
};

// The bits of a literal: 12, -3, 0x1F, 0f3F800000, 0d3FF0000000000000; nothing for other words.
inline std::optional<uint64_t> literal_bits(const std::string& word) {
  const bool minus = !word.empty() && word[0] == '-';
  const std::string digits = word.substr(minus);
  if (digits.empty() || !isdigit(static_cast<unsigned char>(digits[0]))) return std::nullopt;
  char* end = nullptr;
  if (digits.size() == 10 && (digits[1] == 'f' || digits[1] == 'F')) {
    const uint64_t bits = strtoull(digits.c_str() + 2, &end, 16);
    return minus ? bits ^ 0x80000000u : bits;
  }
  if (digits.size() == 18 && (digits[1] == 'd' || digits[1] == 'D')) {
    const uint64_t bits = strtoull(digits.c_str() + 2, &end, 16);
    return minus ? bits ^ 1ull << 63 : bits;
  }
  const uint64_t bits = strtoull(digits.c_str(), &end, 0);
  while (*end == 'U') ++end;
  if (*end != '\0') return std::nullopt;
  return minus ? -bits : bits;
}

inline int64_t integer(const std::string& word) {
  const std::optional<uint64_t> bits = literal_bits(word);
  if (!bits) unsupported("PTX: expected an integer, got " + word);
  return static_cast<int64_t>(*bits);
}

}  // namespace ptx
