// SPDX-License-Identifier: BSD-3-Clause
//
// triplet/batch_hard/search.cuh for sm_90a: the same contract of candidates, with wgmma products
// and TMA copies issued by a producer thread.
//
// Mapping      Two warpgroups process the block's tiles alternately (ping-pong): while one runs the
//              epilogue of its tile, the tensor cores compute the products of the other. A third
//              warpgroup copies.
// Memory       All chunks of the rows stay in shared memory. Columns pass through kHopperStages
//              stages, one chunk each, in the order of the products: tile by tile.
// Order        full[s], empty[s]: sm90.cuh; each warp is a reader. turns[g]: the other warpgroup
// has
//              issued all products of the previous tile, so that those of group g come after them.
//              So the tensor cores process one tile after the other, and overlap with epilogues.
//              Any number of stages from two on works: a warpgroup releases the stage of a chunk
//              after it has issued the products of the next one.
//
// Experimental: compiled only with FUSED_RANKLOSS_EXPERIMENTAL=1, used only with
// FUSED_RANKLOSS_HOPPER=1. hopper_search.h says what graduates it and what deletes it.
#pragma once

#include "cuda/experimental/hopper_search.h"
#include "cuda/experimental/wgmma_tile.cuh"
#include "cuda/triplet/batch_hard/epilogue.cuh"

namespace fused_rankloss::cuda::triplet {

struct HopperSearchParams {
  SearchParams search;
  TensorMap rows;
  TensorMap columns;
};

template <int kFp16Terms>
class HopperSearch {
  using Product = WgmmaProduct<kFp16Terms>;
  using Tiles = SearchTiles<Product>;
  static constexpr int kStages = kHopperStages;

 public:
  static constexpr int kThreads = (kHopperGroups + 1) * kGroupThreads;

  struct Shared {
    Mbarrier rows_full;
    Mbarrier full[kStages];
    Mbarrier empty[kStages];
    Mbarrier turns[kHopperGroups];
    typename Tiles::Limits::Shared column_limits[kHopperGroups];
  };

  // Dynamic shared memory, with padding, since its start may not be aligned to the swizzle.
  static constexpr int64_t dynamic_bytes(int chunks) {
    return int64_t{chunks + kStages} * kTileBytes + kSwizzleBytes;
  }
#ifdef __CUDACC__
  static_assert(sizeof(Mbarrier) * (1 + 2 * kStages + kHopperGroups) +
                    sizeof(typename Tiles::Limits::Shared) * kHopperGroups +
                    dynamic_bytes(kHopperRowChunks) <=
                kHopperSharedBytes);
#endif

  __device__ __forceinline__ HopperSearch(const HopperSearchParams& params, Shared& shared)
      : params_(params),
        shared_(shared),
        tiles_(params.search),
        chunks_(num_chunks(params.search.data.num_slices)),
        memory_((dynamic_shared_address() + kSwizzleBytes - 1) / kSwizzleBytes * kSwizzleBytes) {}

  __device__ __forceinline__ void run() {
    const Positions range = tiles_.plan().tiles();
    if (range.begin == range.end) return;
    if (threadIdx.x == 0) {
      shared_.rows_full.init(1);
      for (int stage = 0; stage < kStages; ++stage) {
        shared_.full[stage].init(1);
        shared_.empty[stage].init(kGroupWarps);
      }
      for (int group = 0; group < kHopperGroups; ++group) shared_.turns[group].init(kGroupWarps);
      publish_mbarriers();
    }
    __syncthreads();
    if (group_index() == kHopperGroups) {
      give_registers_back<kHopperCopyRegisters>();
      if (threadIdx.x % kGroupThreads == 0) copy(range);
    } else {
      take_registers<kHopperRegisters>();
      search(range);
    }
  }

 private:
  // Addresses: the chunks of the rows, then the stages of columns.
  __device__ __forceinline__ uint32_t rows_at(int chunk) const {
    return memory_ + chunk * kTileBytes;
  }
  __device__ __forceinline__ uint32_t columns_at(int stage) const {
    return memory_ + (chunks_ + stage) * kTileBytes;
  }

  // `use` counts the block's chunks of columns. The n-th use of a stage, from 0 on, is one phase of
  // its full and of its empty barrier.
  __device__ __forceinline__ static int stage_of(int use) { return use % kStages; }
  __device__ __forceinline__ static uint32_t parity_of(int use) { return use / kStages % 2; }

  // Called by one thread.
  __device__ __forceinline__ void copy(Positions range) {
    shared_.rows_full.arrive_expecting(chunks_ * kTileBytes);
#pragma unroll 1
    for (int chunk = 0; chunk < chunks_; ++chunk) {
      copy_tile(rows_at(chunk), params_.rows, tiles_.plan().first_row(), chunk * kTileRowHalves,
                shared_.rows_full);
    }
    int use = 0;
#pragma unroll 1
    for (int32_t index = range.begin; index < range.end; ++index) {
      const int32_t first_column = tiles_.plan().column_of(index);
#pragma unroll 1
      for (int chunk = 0; chunk < chunks_; ++chunk, ++use) {
        const int stage = stage_of(use);
        shared_.empty[stage].wait(1 - parity_of(use));  // previous use; the first does not wait
        shared_.full[stage].arrive_expecting(kTileBytes);
        copy_tile(columns_at(stage), params_.columns, first_column, chunk * kTileRowHalves,
                  shared_.full[stage]);
      }
    }
  }

  // Called by one warpgroup.
  __device__ __forceinline__ void search(Positions range) {
    const int group = group_index();
    tiles_.load_rows();
    shared_.rows_full.wait(0);
    int turn = 0;
#pragma unroll 1
    for (int32_t index = range.begin + group; index < range.end; index += kHopperGroups, ++turn) {
      const typename Tiles::Tile tile = tiles_.tile(index);
      const typename Tiles::Limits limits(shared_.column_limits[group], turn);
      if (params_.search.symmetric) {
        tiles_.store_column_limits(tile, limits, static_cast<int>(threadIdx.x) % kGroupThreads);
        sync_group();
      }
      typename Product::Accumulators values;
      tiles_.subtract_norms(values, tile.first_column);
      settle(values);
      // Group 0 starts without a wait for group 1.
      shared_.turns[group].wait((turn + group + 1) % 2);
      multiply(values, (index - range.begin) * chunks_, group);
      settle(values);
      tiles_.add(values, tile, limits);
    }
  }

  __device__ __forceinline__ void multiply(typename Product::Accumulators& values, int first_use,
                                           int group) {
#pragma unroll 1
    for (int chunk = 0; chunk < chunks_; ++chunk) {
      const int use = first_use + chunk;
      shared_.full[stage_of(use)].wait(parity_of(use));
      Product::add_chunk(values, rows_at(chunk), columns_at(stage_of(use)));
      if (chunk > 0) {
        wait_for_products<1>();
        give_back(use - 1);
      }
    }
    if (lane_index() == 0) shared_.turns[1 - group].arrive();  // once per warp
    wait_for_products<0>();
    give_back(first_use + chunks_ - 1);
  }

  // Releases a stage, once per warp.
  __device__ __forceinline__ void give_back(int use) {
    if (lane_index() == 0) shared_.empty[stage_of(use)].arrive();
  }

  const HopperSearchParams& params_;
  Shared& shared_;
  Tiles tiles_;
  int chunks_;
  uint32_t memory_;
};

template <int kFp16Terms>
__global__ void __launch_bounds__(HopperSearch<kFp16Terms>::kThreads, 1)
    hopper_search_kernel(const __grid_constant__ HopperSearchParams params) {
#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  __shared__ typename HopperSearch<kFp16Terms>::Shared shared;
  HopperSearch<kFp16Terms>(params, shared).run();
#endif
}

// ---- Launch -----------------------------------------------------------------

// make_map(cells, rows, halves per row) returns a TensorMap.
template <class Queue, class MakeMap>
void run_hopper_search(Queue& queue, SearchParams& search, MakeMap make_map) {
  const SearchData& data = search.data;
  search.splits = splits_of(search, kTileRows, kHopperBlocks, kHopperTilesEach);
  const int64_t row_halves = int64_t{data.num_slices} * kSliceCells * 8;
  const HopperSearchParams params{
      search, make_map(data.anchors.cells, data.anchors.padded_rows, row_halves),
      make_map(data.refs.cells, data.refs.padded_rows, row_halves)};
  static_assert(kTileRows == kSearchTile.rows());
  const auto launch = [&]<int kFp16Terms>(void (*kernel)(HopperSearchParams)) {
    using Search = HopperSearch<kFp16Terms>;
    queue.launch_with_memory(int64_t{search.num_row_blocks} * search.splits, Search::kThreads,
                             Search::dynamic_bytes(num_chunks(data.num_slices)), kernel, params);
  };
  if (data.fp16_terms == 2) {
    launch.template operator()<2>(hopper_search_kernel<2>);
  } else {
    launch.template operator()<1>(hopper_search_kernel<1>);
  }
}

}  // namespace fused_rankloss::cuda::triplet
