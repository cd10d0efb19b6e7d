// SPDX-License-Identifier: BSD-3-Clause
#include "encoder.h"

#include <cstring>

#include "text.h"

namespace ptx {

void encode(Listing& listing) { Encoder(listing).run(); }

void Encoder::run() {
  const size_t count = listing_.statements.size();
  kernel_.code.resize(count + 1);
  kernel_.origins.resize(count + 1);
  for (size_t i = 0; i < count; ++i) encode(i);
  kernel_.code[count].kind = Kind::exit;
  kernel_.origins[count].text = "(end)";
}

void Encoder::encode(size_t index) {
  static constexpr bool (*kFamilies[])(Encoder&) = {encode_control_flow, encode_special_registers,
                                                    encode_moves,        encode_memory,
                                                    encode_atomics,      encode_warp,
                                                    encode_matrices,     encode_copies,
                                                    encode_hopper,       encode_conversions,
                                                    encode_comparisons,  encode_bits,
                                                    encode_carries,      encode_approximations,
                                                    encode_arithmetic};
  const Statement& s = listing_.statements[index];
  Instruction& instruction = kernel_.code[index];
  statement_ = &s;
  instruction_ = &instruction;
  kernel_.origins[index] = s.origin;
  if (s.guard >= 0) {
    instruction.guard = listing_.registers[s.guard].row;
    instruction.negated_guard = s.negated_guard;
  }
  instruction.space = s.has("global")                           ? Space::global
                      : s.has("shared") || s.has("shared::cta") ? Space::shared
                      : s.has("shared::cluster")                ? Space::shared
                      : s.has("local")                          ? Space::local
                      : s.has("param") || s.has("param::entry") ? Space::param
                      : s.has("const")                          ? Space::constant
                                                                : Space::generic;
  instruction.elements = s.has("v2") ? 2 : s.has("v4") ? 4 : s.has("v8") ? 8 : 1;
  for (const auto family : kFamilies) {
    if (family(*this)) return;
  }
  refuse();
}

void Encoder::handle(Handler handler) {
  if (handler == nullptr) refuse();
  instruction_->handler = handler;
}

void Encoder::refuse(const std::string& what) {
  unsupported("PTX: " + statement_->origin.text + (what.empty() ? "" : ": " + what) +
              "\n    is not known to the machine, in " + kernel_.name);
}

uint32_t Encoder::place(const Operand& operand, Type type) {
  const int bytes = type == Type::pred ? 0 : size_of(type) > 4 ? 8 : 4;
  switch (operand.kind) {
    case Operand::Kind::reg:
      return listing_.registers[operand.reg].row;
    case Operand::Kind::literal: {
      const bool is_float = operand.name.find_first_of("fFdD", 1) < 3 &&
                            operand.name.find_first_of("xX") == std::string::npos;
      if ((type == Type::f32 || type == Type::f64) && !is_float) refuse("an integer");
      uint64_t bits = literal_bits(operand.name).value();
      if (size_of(type) == 2) bits &= 0xffff;
      return constant(bits, bytes);
    }
    case Operand::Kind::name: {
      const Variable found = variable(operand.name);
      return constant(shared_offset(found, operand.name) + operand.offset, bytes);
    }
    default:
      return kNoOperand;
  }
}

void Encoder::set(int to, size_t from, Type type) {
  instruction_->operands[to] = place(operand(from), type);
  if (operand(from).negated) instruction_->negated |= static_cast<uint8_t>(1u << to);
}

void Encoder::set_address(int to, const Operand& operand) {
  instruction_->immediate = operand.offset;
  instruction_->address_size = 8;
  if (operand.reg >= 0) {
    const Register& base = listing_.registers[operand.reg];
    instruction_->operands[to] = base.row;
    instruction_->address_size = static_cast<uint8_t>(base.bytes);
  } else if (operand.name.empty()) {
    instruction_->operands[to] = constant(0, 8);
  } else {
    const Variable found = variable(operand.name);
    instruction_->operands[to] = constant(shared_offset(found, operand.name), 8);
  }
}

void Encoder::set_elements(const Operand& operand, Type type) {
  if (operand.kind != Operand::Kind::vector) {
    instruction_->elements = 1;
    instruction_->more.push_back(place(operand, type));
    return;
  }
  instruction_->elements = static_cast<uint8_t>(operand.elements.size());
  for (const Operand& element : operand.elements) {
    instruction_->more.push_back(place(element, type));
  }
}

int Encoder::width(const Operand& operand, Type type) const {
  if (operand.kind == Operand::Kind::reg) return listing_.registers[operand.reg].bytes;
  return size_of(type) > 4 ? 8 : 4;
}

int64_t Encoder::literal(size_t i) const { return integer(operand(i).name); }

uint32_t Encoder::constant(uint64_t bits, int bytes) {
  const std::pair<uint64_t, int> key{bits, bytes};
  const auto found = constants_.find(key);
  if (found != constants_.end()) return found->second;
  std::vector<char>& rows = kernel_.constants;
  const uint32_t at = static_cast<uint32_t>(rows.size());
  if (bytes == 0) {
    rows.resize(at + 64);
    const uint32_t lanes = bits ? ~0u : 0u;
    memcpy(rows.data() + at, &lanes, sizeof lanes);
  } else {
    rows.resize(at + 32 * static_cast<size_t>(bytes));
    for (int lane = 0; lane < 32; ++lane) memcpy(rows.data() + at + lane * bytes, &bits, bytes);
  }
  return constants_[key] = at | kConstantRow;
}

Variable Encoder::variable(const std::string& name) {
  const auto own = listing_.variables.find(name);
  if (own != listing_.variables.end()) return own->second;
  const auto parameter = listing_.parameter_offsets.find(name);
  if (parameter != listing_.parameter_offsets.end()) {
    const uint64_t begin = reinterpret_cast<uint64_t>(kernel_.parameters_begin());
    return {Space::param, begin + parameter->second, 0};
  }
  const auto found = kernel_.module->variables.find(name);
  if (found == kernel_.module->variables.end()) refuse("name " + name);
  if (found->second.space == Space::shared && found->second.size == 0) {
    kernel_.uses_dynamic_shared = true;
  }
  return found->second;
}

// Shared memory: the kernel's own variables, those of the module, then the dynamic part.
uint64_t Encoder::shared_offset(const Variable& variable, const std::string& name) const {
  if (variable.space != Space::shared || listing_.variables.contains(name)) return variable.address;
  const uint32_t modules = (kernel_.static_shared + 127) / 128 * 128;
  if (variable.size > 0) return modules + variable.address;
  return (modules + kernel_.module->shared_bytes + 15) / 16 * 16;
}

}  // namespace ptx
