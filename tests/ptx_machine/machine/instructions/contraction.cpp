// SPDX-License-Identifier: BSD-3-Clause
//
// What ptxas may do to products and sums without a rounding in their opcode. Exact functions write
// `mul.rn` and are left alone; everything else has to stand both ways.
#include <set>

#include "listing.h"

namespace ptx {
namespace {

class Contraction {
 public:
  explicit Contraction(Listing& listing)
      : listing_(listing),
        writes_(listing.registers.size()),
        reads_(listing.registers.size()),
        written_at_(listing.registers.size(), -1) {
    for (const auto& [name, at] : listing.labels) labels_.insert(at);
    std::vector<int> written, read;
    for (size_t i = 0; i < listing.statements.size(); ++i) {
      listing.written_and_read(listing.statements[i], written, read);
      for (int reg : written) {
        ++writes_[reg];
        written_at_[reg] = static_cast<int>(i);
      }
      for (int reg : read) ++reads_[reg];
    }
  }

  void run() {
    for (size_t i = 0; i < listing_.statements.size(); ++i) {
      const std::string& opcode = listing_.statements[i].opcode;
      const bool sum = opcode == "add.f32" || opcode == "add.f64";
      const bool difference = opcode == "sub.f32" || opcode == "sub.f64";
      if (sum || difference) contract(i, difference);
    }
  }

 private:
  void contract(size_t at, bool difference) {
    Statement& sum = listing_.statements[at];
    for (int side = 1; side <= 2; ++side) {
      const Operand& operand = sum.operands[side];
      if (operand.kind != Operand::Kind::reg || !is_product(operand.reg, at)) continue;
      const Statement& product = listing_.statements[written_at_[operand.reg]];
      if (product.opcode != "mul." + sum.parts[1]) continue;
      const std::string negated = !difference ? "" : side == 1 ? "negc" : "negab";
      sum.operands = {sum.operands[0], product.operands[1], product.operands[2],
                      sum.operands[3 - side]};
      sum.opcode = "fma.rn." + sum.parts[1];
      sum.parts = {"fma", "rn", sum.parts[1], negated};
      sum.origin.text += "  (contracted)";
      return;
    }
  }

  // Whether a register is written once, in the same basic block, and read by statement `at` alone.
  bool is_product(int reg, size_t at) const {
    const int from = written_at_[reg];
    if (writes_[reg] != 1 || reads_[reg] != 1 || from < 0 || from >= static_cast<int>(at)) {
      return false;
    }
    const Statement& product = listing_.statements[from];
    if (!product.is("mul") || product.guard >= 0) return false;
    for (int i = from + 1; i <= static_cast<int>(at); ++i) {
      if (labels_.contains(static_cast<uint32_t>(i))) return false;
      if (listing_.statements[i - 1].ends_block()) return false;
    }
    for (int factor = 1; factor <= 2; ++factor) {
      const Operand& operand = product.operands[factor];
      if (operand.kind == Operand::Kind::reg && writes_[operand.reg] != 1) return false;
    }
    return true;
  }

  Listing& listing_;
  std::vector<int> writes_, reads_, written_at_;
  std::set<uint32_t> labels_;
};

}  // namespace

void contract(Listing& listing) { Contraction(listing).run(); }

}  // namespace ptx
