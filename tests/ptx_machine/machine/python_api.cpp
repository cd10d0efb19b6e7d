// SPDX-License-Identifier: BSD-3-Clause
//
// What Python calls (machine.py): settings, failures, coverage, and PTX texts to run.
#include <algorithm>
#include <cstring>
#include <map>
#include <string>

#include "fault.h"
#include "grid.h"
#include "memory.h"
#include "modules.h"
#include "settings.h"
#include "torch_memory.h"

#define CONTROL_API extern "C" __attribute__((visibility("default")))

using namespace ptx;

namespace {

const char* answer(std::string text) {
  static std::string kept;
  kept = std::move(text);
  return kept.c_str();
}

int64_t* setting(const std::string& name) {
  Settings& s = settings;
  Device& d = settings.device;
  const std::map<std::string, int64_t*> all = {
      {"seed", &s.seed},
      {"resident_blocks", &s.resident_blocks},
      {"quantum", &s.quantum},
      {"perturb", &s.perturb},
      {"rounding_noise", &s.rounding_noise},
      {"late_copies", &s.late_copies},
      {"contract", &s.contract},
      {"check_unwritten", &s.check_unwritten},
      {"instruction_limit", &s.instruction_limit},
      {"index", &device_index},
      {"multiprocessors", &d.multiprocessors},
      {"shared_of_multiprocessor", &d.shared_of_multiprocessor},
      {"shared_of_block", &d.shared_of_block},
      {"major", &d.major},
      {"minor", &d.minor},
      {"threads_of_multiprocessor", &d.threads_of_multiprocessor},
      {"l2_bytes", &d.l2_bytes},
      {"float_to_double_ratio", &d.float_to_double_ratio},
  };
  const auto found = all.find(name);
  return found == all.end() ? nullptr : found->second;
}

}  // namespace

CONTROL_API void ptx_install() { install_allocator(); }
CONTROL_API void ptx_uninstall() { uninstall_allocator(); }

// False where there is no such setting.
CONTROL_API bool ptx_set(const char* name, int64_t value) {
  int64_t* to = setting(name);
  if (to == nullptr) return false;
  *to = value;
  if (to == &settings.seed) seed_random(static_cast<uint64_t>(value));
  return true;
}

CONTROL_API void ptx_begin_op() {
  clear_failure();
  launch_log().clear();
  in_op = true;
}

// Returns what the op left unwritten in its results, in words; failed: whether it threw.
CONTROL_API const char* ptx_end_op(bool failed) {
  in_op = false;
  const std::string lacking = settle_allocations();
  return answer(failed ? "" : lacking);
}

CONTROL_API const char* ptx_failure() { return answer(last_failure()); }

// The kernels launched since the op began, one per line.
CONTROL_API const char* ptx_launches() {
  std::string text;
  for (const std::string& line : launch_log()) text += line + "\n";
  return answer(text);
}

// Every kernel of every module: launches, instructions executed, reached, all, name.
CONTROL_API const char* ptx_coverage() {
  std::string text;
  try {
    for (const auto& module : modules()) {
      module->scan();
      for (const auto& [name, kernel] : module->kernels) {
        const auto reached = std::count_if(kernel->code.begin(), kernel->code.end(),
                                           [](const Instruction& i) { return i.executions > 0; });
        text += std::to_string(kernel->launches) + "\t" + std::to_string(kernel->instructions) +
                "\t" + std::to_string(reached) + "\t" + std::to_string(kernel->code.size()) + "\t" +
                readable_name(name) + "\n";
      }
    }
  } catch (const Fault& fault) {
    last_failure() = fault.text;
  }
  return answer(text);
}

// The instructions of a kernel that never ran, with their source lines.
CONTROL_API const char* ptx_unreached(const char* part_of_name) {
  std::string text;
  for (const auto& module : modules()) {
    for (const auto& [name, kernel] : module->kernels) {
      if (readable_name(name).find(part_of_name) == std::string::npos) continue;
      text += readable_name(name) + "\n";
      for (size_t i = 0; i + 1 < kernel->code.size(); ++i) {
        if (kernel->code[i].executions > 0) continue;
        text += "  " + source_line(*kernel, i) + "  " + kernel->origins[i].text + "\n";
      }
    }
  }
  return answer(text);
}

// Loads of bytes that nothing had written, since the process began: source line, kernel,
// instruction.
CONTROL_API const char* ptx_unwritten_loads() {
  std::string text;
  for (const std::string& line : unwritten_loads()) text += line + "\n";
  return answer(text);
}

// Reads every kernel; returns what the machine does not know, in words.
CONTROL_API const char* ptx_parse_all() {
  std::string text;
  for (const auto& module : modules()) {
    try {
      module->scan();
    } catch (const Fault& fault) {
      text += fault.text + "\n";
    }
    for (const auto& [name, kernel] : module->kernels) {
      try {
        parse(*kernel);
      } catch (const Fault& fault) {
        text += fault.text + "\n";
      }
    }
  }
  return answer(text);
}

// Runs the one kernel of a PTX text, whose parameters are addresses; returns what went wrong.
CONTROL_API const char* ptx_run_text(const char* text, const uint64_t* parameters, uint32_t blocks,
                                     uint32_t threads, uint32_t dynamic_shared) {
  try {
    Module module;
    module.text = text;
    module.scan();
    Kernel& kernel = *module.kernels.begin()->second;
    parse(kernel);
    for (size_t p = 0; p < kernel.parameters.size(); ++p) {
      memcpy(kernel.parameters_begin() + kernel.parameters[p].offset, &parameters[p],
             kernel.parameters[p].size);
    }
    const LaunchShape shape{{blocks, 1, 1}, {threads, 1, 1}, dynamic_shared, false};
    run(kernel, shape);
    return answer("");
  } catch (const Fault& fault) {
    return answer(fault.text);
  }
}

// Memory that PTX texts may reach; tracked: nothing is written yet.
CONTROL_API void ptx_add_memory(uint64_t begin, uint64_t bytes, bool tracked) {
  add_allocation(begin, bytes, "a buffer", tracked);
}
CONTROL_API void ptx_remove_memory(uint64_t begin) { remove_allocation(begin); }
