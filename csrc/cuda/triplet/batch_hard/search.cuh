// SPDX-License-Identifier: BSD-3-Clause
//
// The search for each anchor's hardest positive and negative: all pairs are computed on tensor
// cores, no pair is stored. It finds candidates (epilogue.cuh); select.cuh decides among them by
// canonical distances.
//
// Mapping      A block processes its tiles in turn; the first K slices of the next tile are copied
//              during the epilogue of this one.
// Memory       Both operands pass through L2 once per tile.
#pragma once

#include "cuda/triplet/batch_hard/epilogue.cuh"
#include "cuda/triplet/batch_hard/mma_tile.cuh"

#ifdef FUSED_RANKLOSS_EXPERIMENTAL
#include "cuda/experimental/hopper_search.h"
#endif

namespace fused_rankloss::cuda::triplet {

template <int kFp16Terms>
class HardestSearch {
  using Product = TileProduct<kSearchTile, kFp16Terms>;
  using Tiles = SearchTiles<Product>;

 public:
  struct Shared {
    typename Product::Shared slices;
    typename Tiles::Limits::Shared column_limits;
  };

  __device__ __forceinline__ HardestSearch(const SearchParams& params, Shared& shared)
      : shared_(shared),
        tiles_(params),
        product_(shared.slices, params.data.anchors, params.data.refs, params.data.num_slices,
                 tiles_.plan().first_row()) {}

  __device__ __forceinline__ void run() {
    const Positions range = tiles_.plan().tiles();
    if (range.begin == range.end) return;
    tiles_.load_rows();
    product_.start(tiles_.plan().column_of(range.begin));
#pragma unroll 1
    for (int32_t index = range.begin; index < range.end; ++index) {
      const typename Tiles::Tile tile = tiles_.tile(index);
      const typename Tiles::Limits limits(shared_.column_limits, index);
      tiles_.store_column_limits(tile, limits, static_cast<int>(threadIdx.x));
      typename Product::Accumulators values;
      tiles_.subtract_norms(values, tile.first_column);
      product_.finish(values);
      if (index + 1 < range.end) {
        product_.start(tiles_.plan().column_of(index + 1));  // overlaps with the epilogue
      }
      tiles_.add(values, tile, limits);
    }
  }

 private:
  Shared& shared_;
  Tiles tiles_;
  Product product_;
};

template <int kFp16Terms>
__global__ void __launch_bounds__(kSearchTile.threads(), kSearchBlocksEach)
    hardest_search_kernel(const __grid_constant__ SearchParams params) {
  __shared__ typename HardestSearch<kFp16Terms>::Shared shared;
  HardestSearch<kFp16Terms>(params, shared).run();
}

// ---- Launch -----------------------------------------------------------------

template <class Queue>
SearchParams launch_search(Queue& queue, const OrderedBatch& ordered, const SearchData& data,
                           int64_t symmetric_rows) {
  const int64_t padded = data.anchors.padded_rows;
  SearchParams params{ordered, data, new_candidates(queue, padded), new_candidates(queue, padded)};
  params.num_row_blocks = static_cast<int32_t>(padded / kSearchTile.rows());
  params.symmetric = ordered.batch.self && ordered.batch.num_anchors >= symmetric_rows;
#ifdef FUSED_RANKLOSS_EXPERIMENTAL
  if (launch_hopper_search(queue, params)) return params;
#endif
  params.splits = splits_of(params, kSearchTile.columns, kSearchBlocks, 1);
  const auto launch = [&](auto kernel) {
    queue.launch(int64_t{params.num_row_blocks} * params.splits, kSearchTile.threads(), kernel,
                 params);
  };
  if (data.fp16_terms == 2) {
    launch(hardest_search_kernel<2>);
  } else {
    launch(hardest_search_kernel<1>);
  }
  return params;
}

}  // namespace fused_rankloss::cuda::triplet
