// SPDX-License-Identifier: BSD-3-Clause
//
// A kernel on its way from text to instructions: reader.cpp makes statements, contraction.cpp may
// join some of them, rows.cpp gives registers their places, encoder.cpp makes instructions.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "program.h"

namespace ptx {

struct Operand {
  enum class Kind { none, reg, literal, memory, vector, name };
  Kind kind = Kind::none;
  bool negated = false;           // !p
  int reg = -1;                   // of reg; the base of memory
  std::string name;               // of name and literal; the base symbol of memory
  int64_t offset = 0;             // of memory and name
  std::vector<Operand> elements;  // of vector; what follows the base of memory
};

struct Statement {
  std::string opcode;              // "add.rn.f32"
  std::vector<std::string> parts;  // "add", "rn", "f32"
  int guard = -1;
  bool negated_guard = false;
  std::vector<Operand> operands;
  std::string target;  // of a branch
  Origin origin;

  const std::string& name() const { return parts[0]; }
  bool is(std::string_view name) const { return parts[0] == name; }
  bool has(std::string_view part) const {
    return std::find(parts.begin() + 1, parts.end(), part) != parts.end();
  }
  // The types in the opcode, in their order.
  std::vector<Type> types() const {
    std::vector<Type> found;
    for (size_t i = 1; i < parts.size(); ++i) {
      if (type_named(parts[i]) != Type::none) found.push_back(type_named(parts[i]));
    }
    return found;
  }
  Type type() const {
    const std::vector<Type> found = types();
    return found.empty() ? Type::none : found.back();
  }
  // No statement but the target's follows it, unless it has a guard.
  bool ends_block() const {
    return is("bra") || is("brx") || is("ret") || is("exit") || is("trap");
  }
};

struct Register {
  Type type;
  int bytes;  // a lane: 4 or 8; 0 for a predicate
  uint32_t row = 0;
  bool of_call = false;  // a .param of a call
};

struct Listing {
  Kernel& kernel;
  std::vector<Register> registers;
  std::vector<Statement> statements;
  std::unordered_map<std::string, uint32_t> labels;
  std::unordered_map<std::string, std::vector<std::string>> branch_tables;
  std::unordered_map<std::string, Variable> variables;  // of shared and local memory
  std::unordered_map<std::string, uint32_t> parameter_offsets;

  uint32_t label(const std::string& name) const;
  // The registers that a statement writes and those that it reads.
  void written_and_read(const Statement& statement, std::vector<int>& written,
                        std::vector<int>& read) const;
};

void read_statements(Listing& listing);
// mul and add of one basic block become fma, as ptxas may have it.
void contract(Listing& listing);
void place_registers(Listing& listing);
void encode(Listing& listing);

}  // namespace ptx
