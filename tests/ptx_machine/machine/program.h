// SPDX-License-Identifier: BSD-3-Clause
//
// What a PTX text is once it is read: modules, kernels, instructions.
//
// Registers lie in rows of 32 lanes: 4 bytes a lane up to 32 bits, 8 bytes above, and one word of
// lane bits for a predicate. An instruction is a function that works for all lanes of a mask. Its
// operands are places of rows: those of the warp's registers or, with kConstantRow set, those of
// the kernel's constants.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "types.h"

namespace ptx {

struct Warp;
struct Instruction;
struct Module;

using Handler = void (*)(Warp&, const Instruction&, uint32_t lanes);

inline constexpr uint32_t kConstantRow = 1;
inline constexpr uint32_t kNoOperand = ~0u;
inline constexpr uint8_t kNoMembers = 0xff;

// How the scheduler treats an instruction; all but `plain` end or move a group of lanes.
enum class Kind : uint8_t {
  plain,
  branch,
  branch_table,
  exit,
  trap,
  warp_sync,     // lanes of a membermask together: shfl, vote, mma
  warp_barrier,  // bar.warp.sync
  block_barrier  // bar.sync, bar.red, bar.arrive
};

// What bar does besides waiting.
enum class BarrierMode : uint8_t { wait, all, any, count, arrive };

struct Instruction {
  Handler handler = nullptr;
  Kind kind = Kind::plain;
  bool negated_guard = false;
  bool aligned = false;  // bar: whole warps take part
  Space space = Space::generic;
  uint8_t elements = 1;          // of a vector
  uint8_t address_size = 8;      // bytes of the register that holds an address
  uint8_t members = kNoMembers;  // which operand is the membermask
  uint8_t mode = 0;              // its meaning is the handler's
  uint8_t negated = 0;           // bit i: predicate operand i is negated
  uint32_t guard = kNoOperand;
  uint32_t operands[8] = {kNoOperand, kNoOperand, kNoOperand, kNoOperand,
                          kNoOperand, kNoOperand, kNoOperand, kNoOperand};
  std::vector<uint32_t> more;  // elements of vectors; targets of a branch table
  int64_t immediate = 0;
  uint32_t target = 0;  // of a branch
  // The allocation that was reached last, and which of its bytes were written (null: all).
  mutable uint64_t begin = 1, end = 0;
  mutable uint8_t* written = nullptr;
  mutable uint64_t executions = 0;
};

// Where an instruction comes from: the PTX text, and file and line of the source (-lineinfo).
struct Origin {
  std::string text;
  int file = 0, line = 0;
};

struct Variable {
  Space space;
  uint64_t address;  // of the host; of shared and local memory the offset
  uint32_t size;     // 0: the dynamic part of shared memory
};

struct Parameter {
  uint32_t offset, size;
};

struct Kernel {
  std::string name;  // as the compiler mangled it
  Module* module = nullptr;
  size_t text_begin = 0, text_end = 0;  // within the module's text
  bool parsed = false;
  std::vector<Parameter> parameters;
  uint32_t parameter_bytes = 0;
  std::vector<char> parameter_memory;
  int max_threads = 1024;  // .maxntid
  int min_blocks = 0;      // .minnctapersm
  std::vector<Instruction> code;
  std::vector<Origin> origins;  // one per instruction
  std::vector<char> constants;  // rows
  uint32_t register_bytes = 0, static_shared = 0, local_bytes = 0;
  bool uses_dynamic_shared = false;
  uint64_t launches = 0, instructions = 0;

  char* parameters_begin() {
    const uint64_t begin = reinterpret_cast<uint64_t>(parameter_memory.data());
    return reinterpret_cast<char*>((begin + 127) / 128 * 128);
  }
};

struct Module {
  std::string text;
  int architecture = 80;
  bool scanned = false;
  std::map<std::string, std::unique_ptr<Kernel>> kernels;
  std::unordered_map<std::string, Variable> variables;
  std::map<std::string, std::pair<size_t, size_t>> functions;  // .func: begin and end of its text
  std::map<int, std::string> files;                            // what .loc names
  std::vector<std::unique_ptr<char[]>> memory;                 // of global and constant variables
  uint32_t shared_bytes = 0;                                   // of its own .shared variables

  // Finds variables, functions and kernels. The latter are parsed when they are first used.
  void scan();
};

void parse(Kernel& kernel);

// fused_rankloss::kernel<float>(...), without the argument list.
std::string readable_name(const std::string& mangled);

// "csrc/cuda/pairwise/tiled.cuh:85", or nothing where the text has no lines.
std::string source_line(const Kernel& kernel, size_t instruction);

}  // namespace ptx
