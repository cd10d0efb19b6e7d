// SPDX-License-Identifier: BSD-3-Clause
//
// mov of %tid and the other special registers.
#include <iterator>
#include <string_view>

#include "encoder.h"
#include "lanes.h"
#include "settings.h"

namespace ptx {
namespace {

using Value = uint64_t (*)(const Warp&, int lane);

uint64_t thread(const Warp& warp, int lane) {
  return static_cast<uint64_t>(warp.index) * 32 + lane;
}
uint64_t block_size(int axis) { return running.shape->block[axis]; }

constexpr struct {
  std::string_view name;
  Value value;
} kRegisters[] = {
    {"%tid.x", [](const Warp& w, int lane) { return thread(w, lane) % block_size(0); }},
    {"%tid.y",
     [](const Warp& w, int lane) { return thread(w, lane) / block_size(0) % block_size(1); }},
    {"%tid.z",
     [](const Warp& w, int lane) { return thread(w, lane) / block_size(0) / block_size(1); }},
    {"%ntid.x", [](const Warp&, int) { return block_size(0); }},
    {"%ntid.y", [](const Warp&, int) { return block_size(1); }},
    {"%ntid.z", [](const Warp&, int) { return block_size(2); }},
    {"%ctaid.x", [](const Warp& w, int) -> uint64_t { return w.block->index[0]; }},
    {"%ctaid.y", [](const Warp& w, int) -> uint64_t { return w.block->index[1]; }},
    {"%ctaid.z", [](const Warp& w, int) -> uint64_t { return w.block->index[2]; }},
    {"%nctaid.x", [](const Warp&, int) -> uint64_t { return running.shape->grid[0]; }},
    {"%nctaid.y", [](const Warp&, int) -> uint64_t { return running.shape->grid[1]; }},
    {"%nctaid.z", [](const Warp&, int) -> uint64_t { return running.shape->grid[2]; }},
    {"%laneid", [](const Warp&, int lane) { return static_cast<uint64_t>(lane); }},
    {"%warpid", [](const Warp& w, int) { return static_cast<uint64_t>(w.index); }},
    {"%lanemask_eq", [](const Warp&, int lane) { return uint64_t{1} << lane; }},
    {"%lanemask_lt", [](const Warp&, int lane) { return (uint64_t{1} << lane) - 1; }},
    {"%lanemask_le", [](const Warp&, int lane) { return (uint64_t{2} << lane) - 1; }},
    {"%lanemask_gt", [](const Warp&, int lane) { return 0xffffffff & -(uint64_t{2} << lane); }},
    {"%lanemask_ge", [](const Warp&, int lane) { return 0xffffffff & -(uint64_t{1} << lane); }},
    {"%clock", [](const Warp&, int) { return running.clock; }},
    {"%clock64", [](const Warp&, int) { return running.clock; }},
    {"%globaltimer", [](const Warp&, int) { return running.clock; }},
    {"%envreg1", [](const Warp&, int) { return running.grid_workspace >> 32; }},
    {"%envreg2", [](const Warp&, int) { return running.grid_workspace & 0xffffffff; }},
    {"%dynamic_smem_size",
     [](const Warp&, int) -> uint64_t { return running.shape->dynamic_shared; }},
    {"%total_smem_size", [](const Warp& w, int) -> uint64_t { return w.block->shared_bytes; }},
    {"%smid", [](const Warp& w, int) { return w.block->linear % settings.device.multiprocessors; }},
    {"%nsmid", [](const Warp&, int) -> uint64_t { return settings.device.multiprocessors; }},
    {"%gridid", [](const Warp&, int) -> uint64_t { return 1; }},
    // Every block is a cluster of its own.
    {"%cluster_ctarank", [](const Warp&, int) -> uint64_t { return 0; }},
    {"%cluster_nctarank", [](const Warp&, int) -> uint64_t { return 1; }},
    {"%is_explicit_cluster", [](const Warp&, int) -> uint64_t { return 0; }},
};

template <typename Bits>
void read(Warp& warp, const Instruction& i, uint32_t lanes) {
  const Value value = kRegisters[i.immediate].value;
  write<Bits>(warp, i.operands[0], lanes,
              [&](int lane) { return static_cast<Bits>(value(warp, lane)); });
}

}  // namespace

bool encode_special_registers(Encoder& e) {
  if (!e.statement().is("mov") || e.operand(1).kind != Operand::Kind::name) return false;
  if (e.operand(1).name[0] != '%') return false;
  for (size_t which = 0; which < std::size(kRegisters); ++which) {
    if (kRegisters[which].name != e.operand(1).name) continue;
    const Type type = e.statement().type();
    e.set(0, 0, type);
    e.instruction().immediate = static_cast<int64_t>(which);
    e.handle(size_of(type) == 8 ? read<uint64_t> : read<uint32_t>);
    return true;
  }
  e.refuse("special register " + e.operand(1).name);
}

}  // namespace ptx
