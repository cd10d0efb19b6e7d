// SPDX-License-Identifier: BSD-3-Clause
//
// ldmatrix and mma.sync of fp16 with fp32 sums.
#include <cstring>

#include "encoder.h"
#include "lanes.h"
#include "numbers.h"
#include "tensor_core.h"

namespace ptx {
namespace {

void load_matrices(Warp& warp, const Instruction& i, uint32_t lanes) {
  if (lanes != kAllLanes) fault(warp, i, lanes, "ldmatrix without all lanes");
  uint64_t at[kLanes];
  addresses(warp, i.operands[0], i.address_size, i.immediate, at);
  const int matrices = static_cast<int>(i.more.size());
  const uint32_t used = matrices == 4 ? kAllLanes : (1u << (8 * matrices)) - 1;
  reach(warp, i, used, Space::shared, Access::load, at, 16);
  // Lanes 8 k .. 8 k + 7 have the rows of matrix k; each lane gets two numbers of a row.
  uint32_t loaded[4][kLanes];
  for (int k = 0; k < matrices; ++k) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const char* matrix_row = reinterpret_cast<const char*>(at[8 * k + lane / 4]);
      memcpy(&loaded[k][lane], matrix_row + 4 * (lane % 4), 4);
    }
  }
  for (int k = 0; k < matrices; ++k) {
    memcpy(result_row<uint32_t>(warp, i.more[k]), loaded[k], sizeof loaded[k]);
  }
}

// mma.m16n8kK d, a, b, c: 16 x K times K x 8, their fragments as the PTX ISA lays them out.
template <int K>
void multiply(Warp& warp, const Instruction& i, uint32_t lanes) {
  if (lanes != kAllLanes) fault(warp, i, lanes, "mma without all lanes");
  constexpr int kOfA = K / 4, kOfB = K / 8;  // registers
  const uint32_t* registers = i.more.data();
  const uint32_t* a_registers = registers + 4;
  const uint32_t* b_registers = a_registers + kOfA;
  const uint32_t* c_registers = b_registers + kOfB;

  float a[16][K], b[8][K], c[4][kLanes];
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int r = 0; r < kOfA; ++r) {
      const uint32_t pair = row<uint32_t>(warp, a_registers[r])[lane];
      float* to = &a[lane / 4 + r % 2 * 8][lane % 4 * 2 + r / 2 * 8];
      to[0] = half_value(static_cast<uint16_t>(pair));
      to[1] = half_value(static_cast<uint16_t>(pair >> 16));
    }
    for (int r = 0; r < kOfB; ++r) {
      const uint32_t pair = row<uint32_t>(warp, b_registers[r])[lane];
      float* to = &b[lane / 4][lane % 4 * 2 + r * 8];
      to[0] = half_value(static_cast<uint16_t>(pair));
      to[1] = half_value(static_cast<uint16_t>(pair >> 16));
    }
    for (int r = 0; r < 4; ++r) c[r][lane] = row<float>(warp, c_registers[r])[lane];
  }
  for (int r = 0; r < 4; ++r) {
    float* d = result_row<float>(warp, registers[r]);
    for (int lane = 0; lane < kLanes; ++lane) {
      const int m = lane / 4 + r / 2 * 8, n = lane % 4 * 2 + r % 2;
      float sum = c[r][lane];
      for (int part = 0; part < K; part += 8) {  // eight products at a time, as sm_80 does
        double terms[9];
        for (int k = 0; k < 8; ++k) terms[k] = double{a[m][part + k]} * b[n][part + k];
        terms[8] = sum;
        sum = tensor_core_sum(terms, 9);
      }
      d[lane] = canonical(sum);
    }
  }
}

}  // namespace

bool encode_matrices(Encoder& e) {
  const Statement& s = e.statement();
  Instruction& i = e.instruction();
  if (s.is("ldmatrix")) {
    if (s.has("trans") || !s.has("b16")) e.refuse();
    e.set_address(0, e.operand(1));
    e.set_elements(e.operand(0), Type::b32);
    e.handle(load_matrices);
  } else if (s.is("mma")) {
    if (s.opcode.find(".row.col.f32.f16.f16.f32") == std::string::npos) e.refuse();
    for (size_t k = 0; k < e.operands(); ++k) {
      e.set_elements(e.operand(k), k == 0 || k == 3 ? Type::f32 : Type::b32);
    }
    e.handle(s.has("m16n8k16") ? multiply<16> : s.has("m16n8k8") ? multiply<8> : nullptr);
  } else {
    return false;
  }
  i.kind = Kind::warp_sync;
  return true;
}

}  // namespace ptx
