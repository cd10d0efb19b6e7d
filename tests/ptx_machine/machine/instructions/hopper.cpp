// SPDX-License-Identifier: BSD-3-Clause
//
// sm_90a: mbarriers, bulk copies of boxes (TMA), wgmma of fp16 with fp32 sums. A block is a cluster
// of its own. Copies and products end when the scheduler or the seed has it, at the latest when
// they are waited for.
#include <cstring>

#include "encoder.h"
#include "lanes.h"
#include "memory.h"
#include "numbers.h"
#include "settings.h"
#include "tensor_core.h"
#include "tensor_map.h"

namespace ptx {
namespace {

// In the 64 bits of shared memory: phase, arrivals that are missing, all of them, bytes on the way.
struct Barrier {
  uint32_t phase : 1;
  uint32_t pending : 15;
  uint32_t count : 16;
  int32_t bytes;

  void complete() {
    if (pending > 0 || bytes != 0) return;
    phase ^= 1;
    pending = count & 0x7fff;
  }
};
static_assert(sizeof(Barrier) == 8);

enum class BarrierUse { init, arrive, expect, test };

template <BarrierUse use>
void use_barrier(Warp& warp, const Instruction& i, uint32_t lanes) {
  uint64_t at[kLanes];
  addresses(warp, i.operands[0], i.address_size, i.immediate, at);
  const Access access = use == BarrierUse::init ? Access::store : Access::load;
  reach(warp, i, lanes, Space::shared, access, at, 8);
  uint32_t passed = 0;
  for_each_lane(lanes, [&](int lane) {
    Barrier& barrier = *reinterpret_cast<Barrier*>(at[lane]);
    const bool has_value = i.operands[2] != kNoOperand;
    const uint32_t value = has_value ? row<uint32_t>(warp, i.operands[2])[lane] : 1;
    if constexpr (use == BarrierUse::init) {
      barrier = {0, value & 0x7fff, value & 0xffff, 0};
    } else if constexpr (use == BarrierUse::test) {
      if (barrier.phase != (value & 1)) passed |= 1u << lane;
    } else {
      if (use == BarrierUse::expect) barrier.bytes += static_cast<int32_t>(value);
      if (barrier.pending == 0) fault(warp, i, 1u << lane, "mbarrier: too many arrivals");
      --barrier.pending;
      barrier.complete();
    }
  });
  if (use == BarrierUse::test) write_predicate(warp, i.operands[1], lanes, passed);
}

void nothing(Warp&, const Instruction&, uint32_t) {}

// One box of a tensor to shared memory; what lies outside of the tensor is zero.
class BoxCopy {
 public:
  BoxCopy(Warp& warp, const Instruction& i, int lane, const TensorMap& map, uint32_t to,
          uint32_t barrier, int32_t column, int32_t first_row)
      : warp_(warp),
        instruction_(i),
        lane_(lane),
        map_(map),
        to_(to),
        barrier_(barrier),
        column_(column),
        row_(first_row) {
    if (to_ % 128) refuse("a bulk copy to an address that is no multiple of 128");
    if (to_ + bytes() > warp_.block->shared_bytes) refuse("a bulk copy beyond shared memory");
    if (barrier_ % 8 || barrier_ + 8 > warp_.block->shared_bytes) refuse("no mbarrier");
    memset(warp_.block->shared_written.data() + to_, 1, bytes());
  }

  void fill_with_junk() const { memset(warp_.block->shared + to_, 0xee, bytes()); }

  void finish() const {
    for (uint32_t r = 0; r < map_.box[1]; ++r) {
      for (uint32_t c = 0; c < map_.box[0]; ++c) {
        uint32_t place = to_ + 2 * (r * map_.box[0] + c);
        if (map_.swizzled) place ^= place >> 3 & 0x70;
        const uint16_t number = read(int64_t{column_} + c, int64_t{row_} + r);
        memcpy(warp_.block->shared + place, &number, sizeof number);
      }
    }
    Barrier& barrier = *reinterpret_cast<Barrier*>(warp_.block->shared + barrier_);
    barrier.bytes -= static_cast<int32_t>(bytes());
    barrier.complete();
  }

 private:
  uint32_t bytes() const { return 2 * map_.box[0] * map_.box[1]; }

  uint16_t read(int64_t x, int64_t y) const {
    const bool inside = x >= 0 && y >= 0 && x < static_cast<int64_t>(map_.size[0]) &&
                        y < static_cast<int64_t>(map_.size[1]);
    if (!inside) return 0;
    const uint64_t address = map_.base + static_cast<uint64_t>(y) * map_.stride + 2 * x;
    const Allocation* allocation = find_allocation(address);
    if (!allocation || !allocation->holds(address, 2)) refuse("a bulk copy from no allocation");
    uint16_t number;
    memcpy(&number, reinterpret_cast<const void*>(address), sizeof number);
    return number;
  }

  [[noreturn]] void refuse(const char* text) const {
    fault(warp_, instruction_, 1u << lane_, text);
  }

  Warp& warp_;
  const Instruction& instruction_;
  int lane_;
  TensorMap map_;
  uint32_t to_, barrier_;
  int32_t column_, row_;
};

void copy_box(Warp& warp, const Instruction& i, uint32_t lanes) {
  uint64_t to[kLanes], maps[kLanes], barriers[kLanes];
  addresses(warp, i.operands[0], i.address_size, i.immediate, to);
  addresses(warp, i.operands[1], 8, 0, maps);
  addresses(warp, i.operands[4], 4, 0, barriers);
  for_each_lane(lanes, [&](int lane) {
    TensorMap map;
    memcpy(&map, reinterpret_cast<const void*>(maps[lane]), sizeof map);
    if (map.magic != TensorMap::kMagic) fault(warp, i, 1u << lane, "no tensor map");
    const BoxCopy copy(
        warp, i, lane, map, static_cast<uint32_t>(to[lane]), static_cast<uint32_t>(barriers[lane]),
        row<int32_t>(warp, i.operands[2])[lane], row<int32_t>(warp, i.operands[3])[lane]);
    if (settings.late_copies) {
      copy.fill_with_junk();
      running.bulk_copies.push_back([copy] { copy.finish(); });
    } else {
      copy.finish();
    }
  });
}

// A number of an operand of wgmma in shared memory, by its descriptor.
float operand_of_product(const Warp& warp, const Instruction& i, uint64_t descriptor, int r,
                         int k) {
  if (descriptor >> 62 != 1) fault(warp, i, kAllLanes, "wgmma: expected a 128-byte swizzle");
  if (descriptor >> 49 & 7) fault(warp, i, kAllLanes, "wgmma: expected no base offset");
  const uint32_t start = static_cast<uint32_t>(descriptor & 0x3fff) << 4;
  const uint32_t stride = static_cast<uint32_t>(descriptor >> 32 & 0x3fff) << 4;
  uint32_t at = start + static_cast<uint32_t>(r / 8) * stride + r % 8 * 128 + 2 * k;
  at ^= at >> 3 & 0x70;
  if (at + 2 > warp.block->shared_bytes) {
    fault(warp, i, kAllLanes, "wgmma: an operand beyond shared memory");
  }
  uint16_t bits;
  memcpy(&bits, warp.block->shared + at, sizeof bits);
  return half_value(bits);
}

// This warp's 16 rows of m64n128k16.
void multiply(Warp& warp, const Instruction& i, uint64_t a_descriptor, uint64_t b_descriptor) {
  constexpr int kDepth = 16, kColumns = 128;
  float a[16][kDepth];
  static float b[kColumns][kDepth];
  const int first = warp.index % 4 * 16;
  for (int k = 0; k < kDepth; ++k) {
    for (int r = 0; r < 16; ++r) a[r][k] = operand_of_product(warp, i, a_descriptor, first + r, k);
    for (int r = 0; r < kColumns; ++r) b[r][k] = operand_of_product(warp, i, b_descriptor, r, k);
  }
  const bool adds = i.operands[2] == kNoOperand || (predicate(warp, i, 2) & 1);
  for (size_t q = 0; q < i.more.size(); ++q) {
    float* d = result_row<float>(warp, i.more[q]);
    for (int lane = 0; lane < kLanes; ++lane) {
      const int m = lane / 4 + static_cast<int>(q / 2 % 2) * 8;
      const int n = static_cast<int>(q / 4) * 8 + lane % 4 * 2 + static_cast<int>(q % 2);
      double terms[kDepth + 1];
      for (int k = 0; k < kDepth; ++k) terms[k] = double{a[m][k]} * b[n][k];
      terms[kDepth] = adds ? d[lane] : 0;
      d[lane] = canonical(tensor_core_sum(terms, kDepth + 1));
    }
  }
}

void start_product(Warp& warp, const Instruction& i, uint32_t lanes) {
  if (lanes != kAllLanes) fault(warp, i, lanes, "wgmma without all lanes");
  const uint64_t a = row<uint64_t>(warp, i.operands[0])[0];
  const uint64_t b = row<uint64_t>(warp, i.operands[1])[0];
  const bool late = settings.late_copies && (!warp.products.empty() || random_bits() % 2);
  if (late) {
    warp.products.push_back({&i, a, b, warp.committed_products});
  } else {
    multiply(warp, i, a, b);
  }
}

void commit_products(Warp& warp, const Instruction&, uint32_t) { ++warp.committed_products; }

void wait_for_products(Warp& warp, const Instruction& i, uint32_t) {
  const int64_t over = int64_t{warp.committed_products} - i.immediate;
  size_t done = 0;
  for (; done < warp.products.size() && warp.products[done].group < over; ++done) {
    const Warp::Product& product = warp.products[done];
    multiply(warp, *product.instruction, product.a, product.b);
  }
  warp.products.erase(warp.products.begin(), warp.products.begin() + done);
}

void encode_wgmma(Encoder& e) {
  const Statement& s = e.statement();
  Instruction& i = e.instruction();
  if (s.has("fence")) return e.handle(nothing);
  if (s.has("commit_group")) return e.handle(commit_products);
  if (s.has("wait_group")) {
    i.immediate = e.literal(0);
    return e.handle(wait_for_products);
  }
  if (!s.has("m64n128k16") || s.opcode.find(".f32.f16.f16") == std::string::npos) e.refuse();
  i.kind = Kind::warp_sync;
  e.set_elements(e.operand(0), Type::f32);
  e.set(0, 1, Type::u64);
  e.set(1, 2, Type::u64);
  e.set(2, 3, Type::pred);
  e.handle(start_product);
}

void encode_mbarrier(Encoder& e) {
  const Statement& s = e.statement();
  Instruction& i = e.instruction();
  const bool init = s.has("init"), test = s.has("try_wait") || s.has("test_wait");
  const size_t address = init || s.has("inval") ? 0 : 1;
  e.set_address(0, e.operand(address));
  i.space = Space::shared;
  if (s.has("inval")) return e.handle(nothing);
  if (test && !s.has("parity")) e.refuse("a wait for a state");
  if (test) e.set(1, 0, Type::pred);
  if (e.operands() > address + 1) e.set(2, address + 1, Type::u32);
  e.handle(init                 ? use_barrier<BarrierUse::init>
           : test               ? use_barrier<BarrierUse::test>
           : s.has("expect_tx") ? use_barrier<BarrierUse::expect>
                                : use_barrier<BarrierUse::arrive>);
}

// cp.async.bulk.tensor.2d [to], [map, {column, row}], [barrier]
void encode_bulk_copy(Encoder& e) {
  const Statement& s = e.statement();
  Instruction& i = e.instruction();
  if (!s.has("2d") || s.has("multicast::cluster") || e.operands() != 3) e.refuse();
  const Operand &map = e.operand(1), &barrier = e.operand(2);
  if (map.reg < 0 || map.offset != 0 || barrier.reg < 0 || barrier.offset != 0) {
    e.refuse("an address that is no register");
  }
  e.set_address(0, e.operand(0));
  i.operands[1] = e.place({Operand::Kind::reg, false, map.reg, "", 0, {}}, Type::b64);
  i.operands[2] = e.place(map.elements.at(0).elements.at(0), Type::b32);
  i.operands[3] = e.place(map.elements.at(0).elements.at(1), Type::b32);
  i.operands[4] = e.place({Operand::Kind::reg, false, barrier.reg, "", 0, {}}, Type::b32);
  e.handle(copy_box);
}

}  // namespace

bool encode_hopper(Encoder& e) {
  const Statement& s = e.statement();
  if (s.is("wgmma")) {
    encode_wgmma(e);
  } else if (s.is("mbarrier")) {
    encode_mbarrier(e);
  } else if (s.is("cp") && s.has("bulk")) {
    encode_bulk_copy(e);
  } else {
    return false;
  }
  return true;
}

}  // namespace ptx
