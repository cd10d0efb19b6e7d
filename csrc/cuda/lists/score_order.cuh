// SPDX-License-Identifier: BSD-3-Clause
//
// Which pairs of a list sorted by score violate the margin, found by bits of the labels.
//
// Let r_t be the rank of item t's label among all distinct labels. Two labels differ first in some
// bit b of their ranks, counted from the top:
//
//   y_i > y_j   <=>   r_i >> (b + 1) = r_j >> (b + 1),  bit b of r_i is 1, bit b of r_j is 0  (1)
//
// for exactly one b. Each bit is a round. In round b the items of a list that share r >> (b + 1)
// form a segment, in the order of their scores, and bit b is a binary label: `more` relevant or
// less. A stable partition by that bit makes the next round's segments. Binary labels are one
// round, L levels are ceil(log2 L).
//
// Since reach(s) (common/ordered.h) never falls as s rises, what violates the margin with an item
// is one stretch of its segment [begin, end), and a binary search finds where it ends:
//
//   t is more relevant   less relevant p with reach(s_p) >= s_t:   p in [first_reaching, end)
//   t is less relevant   more relevant p with s_p <= reach(s_t):   p in [begin, first_beyond)   (2)
//
// How many of a stretch are less relevant is a difference of two prefix counts.
//
// Mapping      A thread has a run of kScanRun consecutive positions, a block a tile of such runs
// Memory       1 byte a position for the records of runs: what lies before and after in the tile
// Determinism  integers only
#pragma once

#include "common/ordered.h"
#include "cuda/lists/lists.cuh"
#include "cuda/primitives/block_scan.cuh"
#include "cuda/primitives/grid.cuh"

namespace fused_rankloss::cuda {

// ---- Items in order --------------------------------------------------------

// Positions are below 2^32 - 1, and a thread that has many of them at hand is short of registers.
using Position = uint32_t;

struct Span {
  Position begin;
  Position end;

  FRL_HD uint32_t size() const { return end - begin; }
};

// What is no item of a long list has the highest key of all, and the highest rank. NaN scores, of
// poisoned lists, all have one key below it.
template <typename Key>
inline constexpr Key kInertKey = std::numeric_limits<Key>::max();
inline constexpr uint32_t kInertRank = 0xffffffffu;

template <typename Real>
using ScoreKey = decltype(ordered_key(Real{}));

// The bits of a NaN are of no use: those that it was stored with are not those that arithmetic
// leaves, and a GPU's fp32 NaN would have the inert key.
template <typename Real>
FRL_HD ScoreKey<Real> score_key(Real score) {
  return score == score ? ordered_key(score)
                        : static_cast<ScoreKey<Real>>(kInertKey<ScoreKey<Real>> - 1);
}

// Three arrays by position, with room for whole tiles.
template <typename Key>
struct Order {
  Key* keys;        // of scores
  uint32_t* slots;  // where the item is in the call's arrays
  uint32_t* ranks;  // of labels
};

// The consecutive values that a thread has, for loads of 16 bytes.
template <typename T>
struct alignas(16) RunOf {
  T at[kScanRun];
};

template <typename T>
__device__ __forceinline__ RunOf<T> load_run(const T* array, int64_t first) {
  return *reinterpret_cast<const RunOf<T>*>(array + first);
}

template <typename T>
__device__ __forceinline__ void store_run(T* array, int64_t first, const RunOf<T>& run) {
  *reinterpret_cast<RunOf<T>*>(array + first) = run;
}

// ---- Records ---------------------------------------------------------------

// Places in a tile are 16-bit numbers.
inline constexpr uint32_t kNowhere = 0xffff;
static_assert(kScanTile < kNowhere && kScanRun == 8);

struct alignas(8) RunRecord {
  uint16_t less_before;  // less relevant items (and inert ones) in the tile's earlier runs
  uint8_t more;          // bit p: position p of the run is more relevant
  uint8_t heads;         // bit p: it begins a segment
  uint16_t head_before;  // the last head in the tile's earlier runs, or kNowhere
  uint16_t head_after;   // the first one in its later runs
};

// Of a tile; once scanned, of all before it and after it.
struct TileRecord {
  uint32_t less;        // less relevant items in the tile -> before it
  uint32_t last_head;   // the last head in it, or none    -> before it
  uint32_t first_head;  // the first head in it, or none   -> after it, or the number of positions
};
inline constexpr uint32_t kNoHead = 0xffffffffu;

struct LessAndHead {
  uint32_t less = 0;
  uint32_t head = kNoHead;

  FRL_HD static LessAndHead combine(const LessAndHead& earlier, const LessAndHead& later) {
    return {earlier.less + later.less, later.head == kNoHead ? earlier.head : later.head};
  }
  template <typename Shuffle>
  __device__ __forceinline__ LessAndHead shuffled(Shuffle shuffle) const {
    return {shuffle(less), shuffle(head)};
  }
};

// The records of a round, to ask.
struct Segments {
  RunRecord* runs;
  TileRecord* tiles;
  int64_t size;  // positions

  FRL_HD int64_t num_tiles() const { return (size + kScanTile - 1) / kScanTile; }

  FRL_HD static int place(Position position) { return static_cast<int>(position % kScanRun); }

  FRL_HD bool is_more(Position position) const {
    return runs[position / kScanRun].more >> place(position) & 1;
  }

  FRL_HD bool is_head(Position position) const {
    return runs[position / kScanRun].heads >> place(position) & 1;
  }

  // Less relevant items at positions before this one, which may be the end.
  __device__ __forceinline__ uint32_t less_before(Position position) const {
    if (position == 0) return 0;
    const Position last = position - 1;
    const RunRecord run = runs[last / kScanRun];
    const unsigned upto = (2u << place(last)) - 1;
    return tiles[last / kScanTile].less + run.less_before + __popc(~run.more & upto);
  }

  __device__ __forceinline__ uint32_t less_in(Span span) const {
    return less_before(span.end) - less_before(span.begin);
  }

  // The segment that a position is in.
  __device__ __forceinline__ Span around(Position position) const {
    const Position first = position / kScanRun * kScanRun;
    const Position tile = position / kScanTile;
    const RunRecord run = runs[position / kScanRun];
    const unsigned upto = (2u << place(position)) - 1;
    const unsigned before = run.heads & upto, after = run.heads & ~upto;
    Span segment;
    if (before != 0) {
      segment.begin = first + 31 - __clz(static_cast<int>(before));
    } else if (run.head_before != kNowhere) {
      segment.begin = tile * kScanTile + run.head_before;
    } else {
      segment.begin = tiles[tile].last_head;
    }
    if (after != 0) {
      segment.end = first + __ffs(static_cast<int>(after)) - 1;
    } else if (run.head_after != kNowhere) {
      segment.end = tile * kScanTile + run.head_after;
    } else {
      segment.end = tiles[tile].first_head;
    }
    return segment;
  }
};

// ---- Making the records ----------------------------------------------------

struct RecordsShared {
  ScanShared<LessAndHead, kScanThreads> scan;
};

// Bit p: position first + p begins the positions of a list, which are its slots' numbers.
__device__ __forceinline__ unsigned list_starts(const Lists& lists, int64_t first) {
  constexpr int64_t kBeforeAll = kNoList - 1;
  int64_t list = first == 0 ? kBeforeAll : list_of(lists, first - 1);
  if (list_of(lists, first + kScanRun - 1) == list) return 0;
  unsigned starts = 0;
#pragma unroll 1
  for (int p = 0; p < kScanRun; ++p) {
    const int64_t next = list_of(lists, first + p);
    starts |= static_cast<unsigned>(next != list) << p;
    list = next;
  }
  return starts;
}

// The records of one tile. `more` and `heads` are the bits of the thread's run.
__device__ __forceinline__ void store_records(const Segments& segments, RecordsShared& shared,
                                              int64_t tile, unsigned more, unsigned heads) {
  const int thread = static_cast<int>(threadIdx.x);
  const uint32_t first = thread * kScanRun;
  const uint32_t less = kScanRun - __popc(more);
  const uint32_t last_head = heads == 0 ? kNoHead : first + 31 - __clz(static_cast<int>(heads));
  const uint32_t first_head = heads == 0 ? kNoHead : first + __ffs(static_cast<int>(heads)) - 1;
  const auto before = scan_block<Sweep::kUp, kScanThreads>(shared.scan, {less, last_head});
  const auto after = scan_block<Sweep::kDown, kScanThreads>(shared.scan, {0, first_head});
  const auto in_tile = [](uint32_t head) {
    return static_cast<uint16_t>(head == kNoHead ? kNowhere : head);
  };
  segments.runs[tile * kScanThreads + thread] = {
      static_cast<uint16_t>(before.before.less), static_cast<uint8_t>(more),
      static_cast<uint8_t>(heads), in_tile(before.before.head), in_tile(after.before.head)};
  if (thread == 0) {
    const auto of_all = [tile](uint32_t head) {
      return head == kNoHead ? kNoHead : static_cast<uint32_t>(tile * kScanTile + head);
    };
    segments.tiles[tile] = {before.total.less, of_all(before.total.head), of_all(after.total.head)};
  }
}

// Turns the tiles' records into those of all before and after. One block calls this.
__device__ __forceinline__ void scan_tiles(const Segments& segments, RecordsShared& shared) {
  const int64_t num_tiles = segments.num_tiles();
  const int64_t steps = (num_tiles + kScanThreads - 1) / kScanThreads;
  LessAndHead below;
#pragma unroll 1
  for (int64_t step = 0; step < steps; ++step) {
    const int64_t tile = step * kScanThreads + threadIdx.x;
    LessAndHead own;
    if (tile < num_tiles) own = {segments.tiles[tile].less, segments.tiles[tile].last_head};
    const auto scanned = scan_block<Sweep::kUp, kScanThreads>(shared.scan, own);
    if (tile < num_tiles) {
      const LessAndHead before = LessAndHead::combine(below, scanned.before);
      segments.tiles[tile].less = before.less;
      segments.tiles[tile].last_head = before.head;
    }
    below = LessAndHead::combine(below, scanned.total);
  }
  LessAndHead above{0, static_cast<uint32_t>(segments.size)};
#pragma unroll 1
  for (int64_t step = steps - 1; step >= 0; --step) {
    const int64_t tile = step * kScanThreads + threadIdx.x;
    LessAndHead own;
    if (tile < num_tiles) own.head = segments.tiles[tile].first_head;
    const auto scanned = scan_block<Sweep::kDown, kScanThreads>(shared.scan, own);
    if (tile < num_tiles) {
      segments.tiles[tile].first_head = LessAndHead::combine(above, scanned.before).head;
    }
    above = LessAndHead::combine(above, scanned.total);
  }
}

// ---- Searching -------------------------------------------------------------

// The first position of a span where `found`, which never becomes false again, or its end.
template <typename Found>
__device__ __forceinline__ Position first_position(Span span, Found&& found) {
#pragma unroll 1
  while (span.begin < span.end) {
    const Position middle = span.begin + span.size() / 2;
    if (found(middle)) {
      span.end = middle;
    } else {
      span.begin = middle + 1;
    }
  }
  return span.begin;
}

// The two searches of (2), in the keys of an order.
template <typename Key>
struct Reaches {
  const Key* keys;
  double margin;
  bool inclusive;

  FRL_HD auto score(Position position) const { return value_of_key(keys[position]); }

  template <typename Real>
  __device__ __forceinline__ Position first_reaching(Span span, Real score) const {
    return first_position(span, [&](Position position) {
      return score <= reach(this->score(position), margin, inclusive);
    });
  }

  template <typename Real>
  __device__ __forceinline__ Position first_beyond(Span span, Real score) const {
    const Real limit = reach(score, margin, inclusive);  // NaN below -infinity: beyond it is all
    return first_position(span,
                          [&](Position position) { return !(this->score(position) <= limit); });
  }
};

}  // namespace fused_rankloss::cuda
