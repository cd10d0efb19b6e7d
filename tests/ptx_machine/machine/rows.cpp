// SPDX-License-Identifier: BSD-3-Clause
//
// Places of registers. PTX has a new register for almost every value; those that do not live at the
// same time share a row, so that a warp's rows stay in the cache.
#include <functional>
#include <queue>

#include "fault.h"
#include "listing.h"

namespace ptx {

uint32_t Listing::label(const std::string& name) const {
  const auto found = labels.find(name);
  if (found == labels.end()) unsupported("PTX: label " + name);
  return found->second;
}

namespace {

// How many of a statement's operands, from the first on, are results.
size_t count_results(const Statement& s) {
  static constexpr const char* kNone[] = {
      "st",         "red",           "cp",     "membar",  "fence",
      "nanosleep",  "bra",           "ret",    "exit",    "trap",
      "wgmma",      "prefetch",      "brx",    "discard", "griddepcontrol",
      "setmaxnreg", "applypriority", "pmevent"};
  for (const char* name : kNone) {
    if (s.is(name)) return 0;
  }
  if (s.is("setp") || s.is("shfl") || s.is("elect")) return 2;
  if (s.is("bar") || s.is("barrier")) return s.has("red") ? 1 : 0;
  if (s.is("match")) return s.has("all") && s.operands.size() > 3 ? 2 : 1;
  if (s.is("mbarrier")) return s.has("try_wait") || s.has("test_wait") ? 1 : 0;
  return 1;
}

void collect(const Operand& operand, std::vector<int>& to, std::vector<int>& bases) {
  if (operand.kind == Operand::Kind::reg) to.push_back(operand.reg);
  if (operand.kind == Operand::Kind::memory && operand.reg >= 0) bases.push_back(operand.reg);
  for (const Operand& element : operand.elements) collect(element, to, bases);
}

}  // namespace

void Listing::written_and_read(const Statement& statement, std::vector<int>& written,
                               std::vector<int>& read) const {
  written.clear();
  read.clear();
  if (statement.guard >= 0) read.push_back(statement.guard);
  const size_t results = count_results(statement);
  for (size_t i = 0; i < statement.operands.size(); ++i) {
    collect(statement.operands[i], i < results ? written : read, read);
  }
  // The accumulators are read, too.
  if (statement.is("wgmma") && statement.has("mma_async")) {
    collect(statement.operands[0], written, read);
  }
}

namespace {

using Bits = std::vector<uint64_t>;
bool has_bit(const Bits& bits, size_t i) { return bits[i / 64] >> (i % 64) & 1; }
void set_bit(Bits& bits, size_t i) { bits[i / 64] |= 1ull << (i % 64); }

struct BasicBlock {
  int begin, end;
  std::vector<int> next;
  Bits read_first, written, live_in, live_out;
};

class Liveness {
 public:
  explicit Liveness(const Listing& listing)
      : listing_(listing), words_((listing.registers.size() + 63) / 64) {
    cut_blocks();
    link_blocks();
    for (BasicBlock& block : blocks_) summarize(block);
    propagate();
  }

  // First and last time at which a register holds a value: statement i reads at 2 i, writes after.
  void ranges(std::vector<int>& first, std::vector<int>& last) const {
    first.assign(listing_.registers.size(), INT32_MAX);
    last.assign(listing_.registers.size(), -1);
    const auto touch = [&](size_t reg, int time) {
      first[reg] = std::min(first[reg], time);
      last[reg] = std::max(last[reg], time);
    };
    std::vector<int> written, read;
    for (const BasicBlock& block : blocks_) {
      for (size_t reg = 0; reg < listing_.registers.size(); ++reg) {
        if (has_bit(block.live_in, reg)) touch(reg, 2 * block.begin);
        if (has_bit(block.live_out, reg)) touch(reg, 2 * block.end);
      }
      for (int i = block.begin; i < block.end; ++i) {
        listing_.written_and_read(listing_.statements[i], written, read);
        for (int reg : read) touch(reg, 2 * i);
        for (int reg : written) touch(reg, 2 * i + 1);
      }
    }
  }

 private:
  void cut_blocks() {
    const size_t count = listing_.statements.size();
    std::vector<char> begins(count + 1, 0);
    begins[0] = 1;
    for (const auto& [name, at] : listing_.labels) begins[at] = 1;
    for (size_t i = 0; i < count; ++i) {
      if (listing_.statements[i].ends_block()) begins[i + 1] = 1;
    }
    block_of_.resize(count + 1);
    for (size_t i = 0; i < count; ++i) {
      const Bits none(words_);
      if (begins[i]) blocks_.push_back({static_cast<int>(i), 0, {}, none, none, none, none});
      blocks_.back().end = static_cast<int>(i) + 1;
      block_of_[i] = static_cast<int>(blocks_.size()) - 1;
    }
  }

  void link_blocks() {
    for (BasicBlock& block : blocks_) {
      const auto link = [&](size_t to) {
        if (to < listing_.statements.size()) block.next.push_back(block_of_[to]);
      };
      const Statement& last = listing_.statements[block.end - 1];
      if (last.is("bra")) link(listing_.label(last.target));
      if (last.is("brx")) {
        for (const std::string& target : listing_.branch_tables.at(last.operands[1].name)) {
          link(listing_.label(target));
        }
      }
      if (!last.ends_block() || last.guard >= 0) link(block.end);
    }
  }

  void summarize(BasicBlock& block) {
    std::vector<int> written, read;
    for (int i = block.begin; i < block.end; ++i) {
      const Statement& statement = listing_.statements[i];
      listing_.written_and_read(statement, written, read);
      // A guarded result keeps what the other lanes of the row hold: it is read as well.
      if (statement.guard >= 0) read.insert(read.end(), written.begin(), written.end());
      for (int reg : read) {
        if (!has_bit(block.written, reg)) set_bit(block.read_first, reg);
      }
      if (statement.guard >= 0) continue;
      for (int reg : written) set_bit(block.written, reg);
    }
  }

  void propagate() {
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t b = blocks_.size(); b-- > 0;) {
        BasicBlock& block = blocks_[b];
        for (size_t w = 0; w < words_; ++w) {
          uint64_t out = 0;
          for (int next : block.next) out |= blocks_[next].live_in[w];
          block.live_out[w] = out;
          const uint64_t in = block.read_first[w] | (out & ~block.written[w]);
          changed = changed || in != block.live_in[w];
          block.live_in[w] = in;
        }
      }
    }
  }

  const Listing& listing_;
  size_t words_;
  std::vector<BasicBlock> blocks_;
  std::vector<int> block_of_;
};

}  // namespace

// A linear scan. A result never shares the row of an operand of its own instruction: handlers
// write lanes while they read others.
void place_registers(Listing& listing) {
  std::vector<Register>& registers = listing.registers;
  std::vector<int> first, last;
  Liveness(listing).ranges(first, last);
  std::vector<int> order;
  for (size_t reg = 0; reg < registers.size(); ++reg) {
    if (last[reg] >= 0) order.push_back(static_cast<int>(reg));
  }
  std::sort(order.begin(), order.end(), [&](int a, int b) { return first[a] < first[b]; });

  const auto width = [&](int reg) { return registers[reg].bytes / 4; };  // 0: a predicate
  std::vector<uint32_t> vacant[3];
  using End = std::pair<int, int>;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends;
  uint32_t bytes = 0, predicate_bytes = 0;
  for (int reg : order) {
    while (!ends.empty() && ends.top().first + 1 < first[reg]) {
      const int over = ends.top().second;
      ends.pop();
      vacant[width(over)].push_back(registers[over].row);
    }
    std::vector<uint32_t>& rows = vacant[width(reg)];
    if (!rows.empty()) {
      registers[reg].row = rows.back();
      rows.pop_back();
    } else if (width(reg) == 0) {
      registers[reg].row = predicate_bytes;
      predicate_bytes += 4;
    } else {
      registers[reg].row = bytes;
      bytes += 128 * static_cast<uint32_t>(width(reg));
    }
    ends.emplace(last[reg], reg);
  }
  // Predicates come behind the others.
  for (Register& reg : registers) {
    if (reg.bytes == 0) reg.row += bytes;
  }
  listing.kernel.register_bytes = (bytes + predicate_bytes + 63) / 64 * 64 + 64;
}

}  // namespace ptx
