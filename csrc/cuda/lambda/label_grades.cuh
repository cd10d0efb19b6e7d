// SPDX-License-Identifier: BSD-3-Clause
//
// The rank of each label among the distinct labels of its own list: the number of label changes
// before it in the list's order by label. So no result depends on the labels of other lists.
//
//   count_changes   one block per tile of kScanTile items
//   scan_changes    one warp per list
//   number          one block per tile
//
// Memory  labels are gathered twice
#pragma once

#include "cuda/lambda/long_table.cuh"

namespace fused_rankloss::cuda::lambda {

using ListGradesShared = ScanShared<GridRadixSort::Count, kScanThreads>;

template <typename Real>
class ListGrades {
 public:
  // `by_label`: positions, those of each list in ascending order of labels.
  __device__ __forceinline__ ListGrades(ListGradesShared& shared,
                                        const LambdaLongParams<Real>& params,
                                        const uint32_t* by_label)
      : shared_(shared), params_(params), by_label_(by_label) {}

  // Counts the changes in a tile, which begins with item `first` of the list's order.
  __device__ __forceinline__ void count_changes(int64_t tile, const LongList& list, int64_t first) {
    const auto scanned = scan(changes_in_run(list, first));
    if (threadIdx.x == 0) params_.label_changes[tile] = scanned.total.count;
  }

  // Scans the changes per tile, in place, to those before each tile.
  __device__ __forceinline__ void scan_changes(const LongList& list) const {
    const int64_t tiles = num_list_tiles(list);
    const uint32_t total = scan_numbers(params_.label_changes + list.first_tile, tiles);
    if (lane_index() == 0 && tiles > 0) atomicMax(&params_.table->most_grades, total + 1);
  }

  __device__ __forceinline__ void number(int64_t tile, const LongList& list, int64_t first) {
    const unsigned changes = changes_in_run(list, first);
    const uint32_t before = params_.label_changes[tile] + scan(changes).before.count;
    const int64_t begin = first + int64_t{threadIdx.x} * kItemsPerThread;
#pragma unroll 1
    for (int p = 0; p < kItemsPerThread && begin + p < list.size; ++p) {
      const int64_t position = by_label_[list.begin + begin + p];
      params_.label_ranks[position] = before + __popc(changes & ((2u << p) - 1));
    }
  }

 private:
  // Bit p: item p of the thread's run differs in label from the item before it in the list's order.
  __device__ __forceinline__ unsigned changes_in_run(const LongList& list, int64_t first) const {
    const int64_t begin = first + int64_t{threadIdx.x} * kItemsPerThread;
    const uint32_t* by_label = by_label_ + list.begin;
    unsigned changes = 0;
#pragma unroll 1
    for (int p = 0; p < kItemsPerThread; ++p) {
      const int64_t at = begin + p;
      const bool change =
          at > 0 && at < list.size &&
          params_.batch_ranks[by_label[at]] != params_.batch_ranks[by_label[at - 1]];
      changes |= static_cast<unsigned>(change) << p;
    }
    return changes;
  }

  __device__ __forceinline__ Scanned<GridRadixSort::Count> scan(unsigned changes) {
    return scan_block<Sweep::kUp, kScanThreads>(
        shared_, GridRadixSort::Count{static_cast<uint32_t>(__popc(changes))});
  }

  ListGradesShared& shared_;
  const LambdaLongParams<Real>& params_;
  const uint32_t* by_label_;
};

}  // namespace fused_rankloss::cuda::lambda
