// SPDX-License-Identifier: BSD-3-Clause
//
// A module's text: its variables, its source files, and where functions and kernels begin.
#include <cxxabi.h>

#include <algorithm>
#include <cstring>

#include "fault.h"
#include "memory.h"
#include "program.h"
#include "text.h"

namespace ptx {
namespace {

class Scanner {
 public:
  explicit Scanner(Module& module)
      : module_(module), text_{module.text.data(), module.text.data() + module.text.size()} {}

  void scan() {
    while (!text_.at_end()) {
      begin_ = text_.at;
      std::string word = text_.word();
      while (word == ".visible" || word == ".weak" || word == ".extern" || word == ".common") {
        word = text_.word();
      }
      if (word == ".target") {
        module_.architecture = std::atoi(text_.word().c_str() + 3);
        text_.skip_line();
      } else if (word == ".file") {
        const int number = text_.number();
        module_.files[number] = text_.quoted();
        text_.skip_line();
      } else if (word == ".version" || word == ".address_size") {
        text_.skip_line();
      } else if (word == ".section") {
        text_.word();
        text_.skip_body();
      } else if (word == ".entry") {
        scan_kernel();
      } else if (word == ".func") {
        scan_function();
      } else if (word == ".global" || word == ".const" || word == ".shared") {
        scan_variable(word);
      } else if (word.empty()) {
        ++text_.at;
      }
    }
  }

 private:
  size_t offset(const char* at) const { return static_cast<size_t>(at - module_.text.data()); }

  void scan_kernel() {
    auto kernel = std::make_unique<Kernel>();
    kernel->name = text_.word();
    kernel->module = &module_;
    kernel->text_begin = offset(begin_);
    while (text_.peek() != '{') ++text_.at;
    text_.skip_body();
    kernel->text_end = offset(text_.at);
    module_.kernels[kernel->name] = std::move(kernel);
  }

  void scan_function() {
    if (text_.take('(')) text_.skip_past(')');
    const std::string name = text_.word();
    while (text_.peek() != ';' && text_.peek() != '{') ++text_.at;
    if (text_.take(';')) return;  // a declaration
    text_.skip_body();
    module_.functions[name] = {offset(begin_), offset(text_.at)};
  }

  void scan_variable(const std::string& space) {
    uint32_t align = 1, size = 0;
    bool sized = true;
    Type type = Type::none;
    std::string name;
    std::vector<std::string> values;
    while (text_.peek() != ';') {
      if (text_.take('=')) {
        values = scan_values();
        continue;
      }
      const std::string word = text_.word();
      if (word == ".align") {
        align = static_cast<uint32_t>(text_.number());
      } else if (word[0] == '.') {
        if (type_named(word.substr(1)) != Type::none) type = type_named(word.substr(1));
      } else {
        name = word;
      }
      if (text_.take('[')) {
        if (text_.take(']')) {
          sized = false;
        } else {
          size = static_cast<uint32_t>(text_.number() * size_of(type));
          text_.expect(']');
        }
      }
    }
    text_.expect(';');
    if (size == 0 && sized) size = static_cast<uint32_t>(size_of(type));
    if (space == ".shared") {
      module_.shared_bytes = (module_.shared_bytes + align - 1) / align * align;
      module_.variables[name] = {Space::shared, sized ? module_.shared_bytes : 0, size};
      module_.shared_bytes += size;
    } else {
      char* memory = place(size);
      const uint64_t address = reinterpret_cast<uint64_t>(memory);
      module_.variables[name] = {space == ".global" ? Space::global : Space::constant, address,
                                 size};
      add_allocation(address, size, name, false);
      for (size_t i = 0; i < values.size(); ++i) {
        const uint64_t bits = initial_bits(values[i]);
        memcpy(memory + i * size_of(type), &bits, size_of(type));
      }
    }
  }

  // {1, 2, {3}}, flat.
  std::vector<std::string> scan_values() {
    std::vector<std::string> values;
    int depth = 0;
    do {
      if (text_.take('{')) {
        ++depth;
      } else if (text_.take('}')) {
        --depth;
      } else if (!text_.take(',')) {
        const std::string sign = text_.take('-') ? "-" : "";
        std::string word = text_.word();
        if (word == "generic") {
          text_.expect('(');
          word = text_.word();
          text_.expect(')');
        }
        values.push_back(sign + word);
      }
    } while (depth > 0);
    return values;
  }

  uint64_t initial_bits(const std::string& value) const {
    if (const auto bits = literal_bits(value)) return *bits;
    const auto variable = module_.variables.find(value);
    if (variable == module_.variables.end()) unsupported("PTX: initial value " + value);
    return variable->second.address;
  }

  char* place(uint32_t size) {
    module_.memory.push_back(std::make_unique<char[]>(size + 256));
    const uint64_t begin = reinterpret_cast<uint64_t>(module_.memory.back().get());
    return reinterpret_cast<char*>((begin + 127) / 128 * 128);
  }

  Module& module_;
  Text text_;
  const char* begin_ = nullptr;  // of the directive that is being read
};

}  // namespace

void Module::scan() {
  if (scanned) return;
  scanned = true;
  Scanner(*this).scan();
}

std::string readable_name(const std::string& mangled) {
  int status = 0;
  char* plain = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
  if (status != 0) return mangled;
  std::string name = plain;
  free(plain);
  if (name.starts_with("void ")) name = name.substr(5);
  // The argument list begins at the last bracket that opens at the outermost level.
  int depth = 0;
  for (size_t i = name.size(); i-- > 0;) {
    if (name[i] == ')') ++depth;
    if (name[i] == '(' && --depth == 0) {
      name.resize(i);
      break;
    }
  }
  return name;
}

std::string source_line(const Kernel& kernel, size_t instruction) {
  const Origin& origin = kernel.origins[instruction];
  const auto file = kernel.module->files.find(origin.file);
  if (file == kernel.module->files.end()) return "";
  const size_t csrc = file->second.rfind("csrc/");
  const std::string name = csrc == std::string::npos ? file->second : file->second.substr(csrc);
  return name + ":" + std::to_string(origin.line);
}

}  // namespace ptx
