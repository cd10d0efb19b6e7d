// SPDX-License-Identifier: BSD-3-Clause
//
// Statements to instructions. Each family of opcodes has a file that knows the operands of its
// statements and holds what they do.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "fault.h"
#include "listing.h"

namespace ptx {

class Encoder {
 public:
  explicit Encoder(Listing& listing) : listing_(listing), kernel_(listing.kernel) {}

  void run();

  const Statement& statement() const { return *statement_; }
  Instruction& instruction() { return *instruction_; }
  const Listing& listing() const { return listing_; }
  const Operand& operand(size_t i) const { return statement_->operands.at(i); }
  size_t operands() const { return statement_->operands.size(); }

  // The row of an operand: of its register, or of a constant made for it.
  uint32_t place(const Operand& operand, Type type);
  // operands[to] becomes operand `from` of the statement.
  void set(int to, size_t from, Type type);
  // The address that [...] holds: a register or a variable, and an offset.
  void set_address(int to, const Operand& operand);
  // A vector's elements, or the one element.
  void set_elements(const Operand& operand, Type type);
  // Bytes a lane of a register; of what is no register, of the type.
  int width(const Operand& operand, Type type) const;

  int64_t literal(size_t i) const;

  // A handler, or null, which is refused.
  void handle(Handler handler);
  [[noreturn]] void refuse(const std::string& what = "");

 private:
  void encode(size_t index);
  uint32_t constant(uint64_t bits, int bytes);
  Variable variable(const std::string& name);
  uint64_t shared_offset(const Variable& variable, const std::string& name) const;

  Listing& listing_;
  Kernel& kernel_;
  const Statement* statement_ = nullptr;
  Instruction* instruction_ = nullptr;
  std::map<std::pair<uint64_t, int>, uint32_t> constants_;
};

// False where the opcode is of another family.
bool encode_control_flow(Encoder& encoder);
bool encode_moves(Encoder& encoder);
bool encode_special_registers(Encoder& encoder);
bool encode_memory(Encoder& encoder);
bool encode_atomics(Encoder& encoder);
bool encode_warp(Encoder& encoder);
bool encode_matrices(Encoder& encoder);
bool encode_copies(Encoder& encoder);
bool encode_hopper(Encoder& encoder);
bool encode_conversions(Encoder& encoder);
bool encode_comparisons(Encoder& encoder);
bool encode_bits(Encoder& encoder);
bool encode_carries(Encoder& encoder);
bool encode_approximations(Encoder& encoder);
bool encode_arithmetic(Encoder& encoder);

}  // namespace ptx
