// SPDX-License-Identifier: BSD-3-Clause
//
// The text of a kernel to statements. Functions are read into their callers.
#include "fault.h"
#include "listing.h"
#include "settings.h"
#include "text.h"

namespace ptx {
namespace {

class Reader {
 public:
  explicit Reader(Listing& listing) : listing_(listing), kernel_(listing.kernel) {
    const char* text = kernel_.module->text.data();
    text_ = {text + kernel_.text_begin, text + kernel_.text_end};
  }

  void read() {
    read_head();
    text_.expect('{');
    scopes_.emplace_back();
    read_body();
  }

 private:
  void read_head() {
    while (text_.word() != ".entry") {
    }
    text_.word();  // its name
    if (text_.take('(')) {
      while (!text_.take(')')) read_parameter();
    }
    kernel_.parameter_memory.assign(kernel_.parameter_bytes + 256, 0);
    while (text_.peek() != '{') {
      const std::string directive = text_.word();
      if (directive == ".pragma") {
        text_.skip_past(';');
        continue;
      }
      if (directive == ".explicitcluster" || directive == ".blocksareclusters") continue;
      if (directive.empty() || directive[0] != '.') unsupported("PTX: directive " + directive);
      int product = 1;
      do product *= text_.number();
      while (text_.take(','));
      if (directive == ".maxntid" || directive == ".reqntid") kernel_.max_threads = product;
      if (directive == ".minnctapersm") kernel_.min_blocks = product;
    }
  }

  void read_parameter() {
    uint32_t align = 0, size = 0;
    std::string name;
    Type type = Type::none;
    while (text_.peek() != ',' && text_.peek() != ')') {
      const std::string word = text_.word();
      if (word == ".align") {
        align = static_cast<uint32_t>(text_.number());  // after .ptr: of what is pointed to
      } else if (word[0] == '.') {
        if (type_named(word.substr(1)) != Type::none) type = type_named(word.substr(1));
      } else {
        name = word;
      }
      if (text_.take('[')) {
        size = static_cast<uint32_t>(text_.number());
        text_.expect(']');
      }
    }
    text_.take(',');
    if (size == 0) size = align = static_cast<uint32_t>(size_of(type));
    align = std::max(1u, align);
    const uint32_t offset = (kernel_.parameter_bytes + align - 1) / align * align;
    kernel_.parameters.push_back({offset, size});
    listing_.parameter_offsets[name] = offset;
    kernel_.parameter_bytes = offset + size;
  }

  int find_register(const std::string& name) const {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      const auto found = scope->find(name);
      if (found != scope->end()) return found->second;
    }
    return -1;
  }

  void declare(const std::string& name, Type type) {
    if (type == Type::b128) unsupported("PTX: a register of 128 bits");
    scopes_.back()[name] = static_cast<int>(listing_.registers.size());
    const int bytes = type == Type::pred ? 0 : size_of(type) > 4 ? 8 : 4;
    listing_.registers.push_back({type, bytes});
  }

  void read_body() {
    int depth = 1;
    while (depth > 0) {
      if (text_.at_end()) unsupported("PTX: " + kernel_.name + " has no end");
      if (text_.take('{')) {
        ++depth;
        scopes_.emplace_back();
      } else if (text_.take('}')) {
        --depth;
        scopes_.pop_back();
      } else if (!text_.take(';')) {
        read_item();
      }
    }
    listing_.labels["$end"] = next();
  }

  void read_item() {
    if (text_.peek() == '@') return read_instruction();
    const char* begin = text_.at;
    const std::string word = text_.word();
    if (word.empty()) unsupported("PTX: cannot read: " + text_.rest());
    if (word == ".reg") return read_registers();
    if (word == ".shared" || word == ".local") return read_variable(word);
    if (word == ".param") return read_call_parameter();
    if (word == ".pragma") return text_.skip_past(';');
    if (word == ".loc") return read_location();
    if (word == ".file" || word == ".section") return text_.skip_line();
    if (text_.peek() == ':' && text_.at[1] != ':') return read_label(word);
    text_.at = begin;
    read_instruction();
  }

  void read_registers() {
    const Type type = type_named(text_.word().substr(1));
    do {
      const std::string name = text_.word();
      if (text_.take('<')) {
        const int count = text_.number();
        text_.expect('>');
        for (int i = 0; i < count; ++i) declare(name + std::to_string(i), type);
      } else {
        declare(name, type);
      }
    } while (text_.take(','));
    text_.expect(';');
  }

  void read_variable(const std::string& space) {
    uint32_t align = 1, size = 0;
    Type type = Type::none;
    std::string name;
    while (text_.peek() != ';') {
      const std::string word = text_.word();
      if (word == ".align") {
        align = static_cast<uint32_t>(text_.number());
      } else if (word[0] == '.') {
        type = type_named(word.substr(1));
      } else {
        name = word;
      }
      if (text_.take('[')) {
        size = static_cast<uint32_t>(text_.number() * size_of(type));
        text_.expect(']');
      }
    }
    text_.expect(';');
    if (size == 0) size = static_cast<uint32_t>(size_of(type));
    const bool shared = space == ".shared";
    uint32_t& used = shared ? kernel_.static_shared : kernel_.local_bytes;
    align = std::max<uint32_t>(align, static_cast<uint32_t>(size_of(type)));
    used = (used + align - 1) / align * align;
    listing_.variables[name] = {shared ? Space::shared : Space::local, used, size};
    used += size;
  }

  // Of a call that is read in place: a register as others.
  void read_call_parameter() {
    std::string name;
    Type type = Type::b64;
    while (text_.peek() != ';') {
      const std::string word = text_.word();
      if (word == ".align") {
        text_.word();
      } else if (word[0] == '.') {
        type = type_named(word.substr(1));
      } else {
        name = word;
      }
      if (text_.peek() == '[') unsupported("PTX: a call with an array");
    }
    text_.expect(';');
    declare(name, size_of(type) > 4 ? Type::b64 : Type::b32);
    listing_.registers.back().of_call = true;
  }

  void read_location() {
    file_ = text_.number();
    line_ = text_.number();
    text_.skip_line();
  }

  void read_label(const std::string& name) {
    text_.expect(':');
    if (text_.peek_word() != ".branchtargets") {
      listing_.labels[name + suffix_] = next();
      return;
    }
    text_.word();
    std::vector<std::string>& targets = listing_.branch_tables[name + suffix_];
    do targets.push_back(text_.word() + suffix_);
    while (text_.take(','));
    text_.expect(';');
  }

  Operand read_operand() {
    Operand operand;
    if (text_.take('{')) {
      operand.kind = Operand::Kind::vector;
      while (!text_.take('}')) {
        operand.elements.push_back(read_operand());
        text_.take(',');
      }
      return operand;
    }
    if (text_.take('[')) return read_address();
    operand.negated = text_.take('!');
    const std::string sign = text_.take('-') ? "-" : "";
    const std::string word = text_.word();
    if (word.empty()) unsupported("PTX: expected an operand, got: " + text_.rest());
    if (word == "_") return operand;
    if (sign.empty() && (operand.reg = find_register(word)) >= 0) {
      operand.kind = Operand::Kind::reg;
    } else if (literal_bits(word)) {
      operand.kind = Operand::Kind::literal;
      operand.name = sign + word;
    } else {
      operand.kind = Operand::Kind::name;
      operand.name = word;
      if (text_.take('+')) operand.offset = integer(text_.word());
    }
    return operand;
  }

  // [register + 4], [variable], [variable, {x, y}]
  Operand read_address() {
    Operand operand;
    operand.kind = Operand::Kind::memory;
    const std::string base = text_.peek() == '-' ? "" : text_.word();
    if (literal_bits(base)) {
      operand.offset = integer(base);
    } else if (!base.empty() && (operand.reg = find_register(base)) < 0) {
      operand.name = base;
    }
    while (text_.peek() == '+' || text_.peek() == '-') {
      bool minus = text_.take('-');
      if (!minus) {
        text_.expect('+');
        minus = text_.take('-');
      }
      const int64_t value = integer(text_.word());
      operand.offset += minus ? -value : value;
    }
    if (text_.take(',')) operand.elements.push_back(read_operand());
    text_.expect(']');
    return operand;
  }

  void read_instruction() {
    text_.skip();
    const char* begin = text_.at;
    Statement statement;
    if (text_.take('@')) {
      statement.negated_guard = text_.take('!');
      const std::string name = text_.word();
      statement.guard = find_register(name);
      if (statement.guard < 0) unsupported("PTX: predicate " + name);
    }
    std::string opcode = text_.word();
    while (text_.peek() == ':') {  // shared::cta
      text_.expect(':');
      text_.expect(':');
      opcode += "::" + text_.word();
    }
    set_opcode(statement, opcode);
    if (statement.is("call")) return read_call();
    if (statement.is("ret") && !suffix_.empty()) {
      set_opcode(statement, "bra");
      statement.target = "$return" + suffix_;
    } else if (statement.is("bra")) {
      statement.target = text_.word() + suffix_;
    }
    read_operands(statement);
    if (statement.is("brx")) statement.operands[1].name += suffix_;
    statement.origin = {{begin, text_.at}, file_, line_};
    access_call_parameter(statement);
    listing_.statements.push_back(std::move(statement));
  }

  void read_operands(Statement& statement) {
    std::vector<Operand>& operands = statement.operands;
    while (!text_.take(';')) {
      operands.push_back(read_operand());
      // d|p: where the second is left out, it is there as nothing.
      const bool has_second = statement.is("setp") || statement.is("shfl");
      if (text_.take('|')) {
        operands.push_back(read_operand());
      } else if (operands.size() == 1 && has_second) {
        operands.push_back({});
      }
      text_.take(',');
    }
  }

  static void set_opcode(Statement& statement, const std::string& opcode) {
    statement.opcode = opcode;
    statement.parts.clear();
    for (size_t begin = 0; begin <= opcode.size();) {
      const size_t dot = std::min(opcode.find('.', begin), opcode.size());
      statement.parts.push_back(opcode.substr(begin, dot - begin));
      begin = dot + 1;
    }
  }

  // ld.param and st.param of a call's own parameters move registers.
  void access_call_parameter(Statement& statement) {
    const bool load = statement.is("ld");
    if (!statement.has("param") || !(load || statement.is("st"))) return;
    Operand& operand = statement.operands[load ? 1 : 0];
    if (operand.reg < 0 || !listing_.registers[operand.reg].of_call) return;
    operand.kind = Operand::Kind::reg;
    set_opcode(statement, listing_.registers[operand.reg].bytes == 8 ? "mov.b64" : "mov.b32");
  }

  // call.uni (result), function, (arguments);
  void read_call() {
    std::vector<int> results, arguments;
    if (text_.peek() == '(') results = read_registers_of_call();
    const std::string name = text_.word();
    text_.take(',');
    if (text_.peek() == '(') arguments = read_registers_of_call();
    text_.expect(';');
    const auto function = kernel_.module->functions.find(name);
    if (function == kernel_.module->functions.end()) unsupported("PTX: call of " + name);

    const Text caller = text_;
    const std::string callers_suffix = suffix_;
    suffix_ = "$call" + std::to_string(calls_++);
    const char* text = kernel_.module->text.data();
    text_ = {text + function->second.first, text + function->second.second};
    while (text_.word() != ".func") {
    }
    scopes_.emplace_back();
    if (text_.peek() == '(') bind_parameters(results);
    text_.word();
    if (text_.peek() == '(') bind_parameters(arguments);
    while (text_.peek() != '{') text_.word();
    text_.expect('{');
    scopes_.emplace_back();
    read_body();
    scopes_.pop_back();
    listing_.labels["$return" + suffix_] = next();
    suffix_ = callers_suffix;
    text_ = caller;
  }

  std::vector<int> read_registers_of_call() {
    std::vector<int> registers;
    text_.expect('(');
    while (!text_.take(')')) {
      const std::string name = text_.word();
      registers.push_back(find_register(name));
      if (registers.back() < 0) unsupported("PTX: argument " + name);
      text_.take(',');
    }
    text_.take(',');
    return registers;
  }

  void bind_parameters(const std::vector<int>& registers) {
    text_.expect('(');
    size_t i = 0;
    while (!text_.take(')')) {
      std::string name;
      while (text_.peek() != ',' && text_.peek() != ')') {
        const std::string word = text_.word();
        if (word == ".align") {
          text_.word();
        } else if (word[0] != '.') {
          name = word;
        }
      }
      scopes_.back()[name] = registers.at(i++);
      text_.take(',');
    }
  }

  uint32_t next() const { return static_cast<uint32_t>(listing_.statements.size()); }

  Listing& listing_;
  Kernel& kernel_;
  Text text_;
  std::vector<std::unordered_map<std::string, int>> scopes_;
  std::string suffix_;  // of labels, within a function
  int calls_ = 0;
  int file_ = 0, line_ = 0;
};

}  // namespace

void read_statements(Listing& listing) { Reader(listing).read(); }

void parse(Kernel& kernel) {
  if (kernel.parsed) return;
  Listing listing{kernel, {}, {}, {}, {}, {}, {}};
  read_statements(listing);
  if (settings.contract) contract(listing);
  place_registers(listing);
  encode(listing);
  kernel.parsed = true;
}

}  // namespace ptx
