// SPDX-License-Identifier: BSD-3-Clause
//
// Selects each anchor's hardest positive and negative from its candidates: canonical keys decide
// (losses/distance.h), ties by index; NaN is harder than every number.
//
// The pair of greatest canonical hardness is a candidate within 2 bound_i of the best, or an
// outlier reference. The exception is a row whose dropped candidates, `rest`, reach that limit, and
// an outlier anchor, which has no candidates. Such a row is put on a list, and a second kernel
// compares all of its pairs. Positives of small classes are compared without a search.
//
// Mapping      One warp per anchor; one block per entry of the list, in a grid-stride loop, since
//              only the device knows its length.
// Memory       one row per candidate, 32 bytes per anchor for the results
// Numerics     fp64, exact in the sense of losses/distance.h
// Determinism  Results do not depend on the candidates; only the time does.
#pragma once

#include <cmath>

#include "cuda/triplet/batch_hard/search.cuh"

namespace fused_rankloss::cuda::triplet {

// A reference and its key. Every other pick is harder than the empty one.
struct Pick {
  double key = 0;
  int32_t position = -1;
  int32_t index = -1;

  // Keeps the harder pick: the greater key for positives, the smaller for negatives.
  __device__ __forceinline__ void offer(bool positive, const Pick& other) {
    if (other.position < 0) return;
    const bool nan = key != key, other_nan = other.key != other.key;
    bool harder = positive ? other.key > key : other.key < key;
    if (nan || other_nan) harder = other_nan && !nan;
    const bool tied = other.key == key || (nan && other_nan);
    if (position < 0 || harder || (tied && other.index < index)) *this = other;
  }
};

// The hardest canonical pair of one anchor so far. All lanes of a warp hold the same values.
template <typename Stored>
class Choice {
 public:
  __device__ __forceinline__ Choice(const OrderedBatch& ordered, int64_t anchor, bool positive)
      : ordered_(ordered),
        anchor_(anchor),
        positive_(positive),
        row_(ordered.anchor_row<Stored>(anchor)) {}

  __device__ __forceinline__ void offer(int64_t ref) {
    if (ordered_.is_self(anchor_, ref)) return;
    const double key = warp_key(ordered_.batch, row_, ordered_.ref_row<Stored>(ref));
    pick.offer(positive_, {key, static_cast<int32_t>(ref), ordered_.refs[ref]});
  }

  // Offers the references begin, begin + step, ... of this side.
  __device__ __forceinline__ void offer_all(int64_t begin, int64_t step) {
    const Positions same = ordered_.same_label[anchor_];
    if (positive_) {
      for (int64_t ref = same.begin + begin; ref < same.end; ref += step) offer(ref);
    } else {
      const int64_t num_refs = ordered_.batch.num_refs;
      for (int64_t t = begin; t < num_refs - same.size(); t += step) {
        offer(t < same.begin ? t : t + same.size());
      }
    }
  }

  Pick pick;

 private:
  const OrderedBatch& ordered_;
  int64_t anchor_;
  bool positive_;
  WarpRow<Stored> row_;
};

struct ChoiceParams {
  SearchParams search;
  // Rows to scan: 2 anchor + 1 for the positive, + 0 for the negative.
  uint32_t* scan_rows;  // [2 N]
  uint32_t* num_scans;  // [1], initially 0
  // Results, by index
  int64_t* positive;
  int64_t* negative;
  double* distances;

  __device__ __forceinline__ void store(int64_t anchor, bool is_positive, const Pick& pick) const {
    const OrderedBatch& ordered = search.ordered;
    const int64_t index = ordered.anchors[anchor];
    const bool found = pick.position >= 0;
    (is_positive ? positive : negative)[index] = found ? pick.index : -1;
    distances[(is_positive ? 0 : ordered.batch.num_anchors) + index] =
        found ? distance_of_key(ordered.batch.distance, pick.key) : static_cast<double>(NAN);
  }
};

template <typename Stored>
__device__ __forceinline__ void choose(const ChoiceParams& params, int64_t anchor, bool positive) {
  const SearchParams& search = params.search;
  const OrderedBatch& ordered = search.ordered;
  const Positions same = ordered.same_label[anchor];
  Choice<Stored> choice(ordered, anchor, positive);
  if (positive && same.size() <= kDirectClass) {
    choice.offer_all(0, 1);
  } else {
    const Candidates& candidates = positive ? search.positives : search.negatives;
    const uint32_t best = candidates.best[anchor], rest = candidates.rest[anchor];
    const float limit = value_of_key(best) - 2 * search.data.anchors.bounds[anchor];
    if (best == 0 || (rest != 0 && value_of_key(rest) >= limit)) {
      if (lane_index() == 0) {
        params.scan_rows[atomicAdd(params.num_scans, 1u)] =
            static_cast<uint32_t>(2 * anchor + positive);
      }
      return;
    }
    for (int slot = 0; slot < kSearchSlots; ++slot) {
      const unsigned long long entry = candidates.slots[anchor * kSearchSlots + slot];
      if (entry == 0 || value_of_key(static_cast<uint32_t>(entry >> 32)) < limit) continue;
      choice.offer(static_cast<uint32_t>(entry));
    }
    const int num_outliers = static_cast<int>(search.data.facts->num_outliers);
    for (int t = 0; t < num_outliers; ++t) {
      const int32_t ref = search.data.outliers[t];
      if (same.contains(ref) == positive) choice.offer(ref);
    }
  }
  if (lane_index() == 0) params.store(anchor, positive, choice.pick);
}

template <typename Stored>
__global__ void __launch_bounds__(kTripletThreads, kAnyBlocks)
    hardest_choice_kernel(const __grid_constant__ ChoiceParams params) {
  const OrderedBatch& ordered = params.search.ordered;
  const int64_t anchor = int64_t{blockIdx.x} * kTripletWarps + warp_index();
  if (anchor >= ordered.batch.num_anchors) return;
  const bool found = ordered.has_triplet(anchor);
#pragma unroll 1
  for (int side = 0; side < 2; ++side) {
    if (found) {
      choose<Stored>(params, anchor, side == 1);
    } else if (lane_index() == 0) {
      params.store(anchor, side == 1, {});
    }
  }
}

template <typename Stored>
__global__ void __launch_bounds__(kTripletThreads, kAnyBlocks)
    hardest_scan_kernel(const __grid_constant__ ChoiceParams params) {
  __shared__ SharedArray<Pick, kTripletWarps> picks;
  const int64_t num_scans = *params.num_scans;
  for (int64_t scan = blockIdx.x; scan < num_scans; scan += gridDim.x) {
    const int64_t anchor = params.scan_rows[scan] / 2;
    const bool positive = params.scan_rows[scan] % 2 != 0;
    Choice<Stored> choice(params.search.ordered, anchor, positive);
    choice.offer_all(warp_index(), kTripletWarps);
    if (lane_index() == 0) picks.store(warp_index(), choice.pick);
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int warp = 1; warp < kTripletWarps; ++warp) {
        choice.pick.offer(positive, picks.load(warp));
      }
      params.store(anchor, positive, choice.pick);
    }
    __syncthreads();  // before the next row's picks are stored
  }
}

// ---- Launches ---------------------------------------------------------------

// Finds every anchor's hardest pair; results by index, -1 and NaN without a triplet.
template <class Queue>
void launch_hardest(Queue& queue, const OrderedBatch& ordered, const SearchData& data,
                    const BatchTripletArgs& args, int64_t symmetric_rows) {
  const int64_t num_anchors = ordered.batch.num_anchors;
  const ChoiceParams params{launch_search(queue, ordered, data, symmetric_rows),
                            queue.template allocate<uint32_t>(2 * num_anchors),
                            queue.template allocate<uint32_t>(1),
                            args.positive,
                            args.negative,
                            args.distances};
  queue.zero(params.num_scans, 1);
  dispatch_stored(ordered.batch.type, [&](auto stored) {
    using Stored = decltype(stored);
    queue.launch(ceil_div(num_anchors, kTripletWarps), kTripletThreads,
                 hardest_choice_kernel<Stored>, params);
    queue.launch(std::min(num_anchors, kScanBlocks), kTripletThreads, hardest_scan_kernel<Stored>,
                 params);
  });
}

}  // namespace fused_rankloss::cuda::triplet
