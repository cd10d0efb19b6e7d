// SPDX-License-Identifier: BSD-3-Clause
//
// Brings the items of a list into the order of their labels, and cuts the ascending order into
// leaves. A grade is the set of items with one label. A leaf is one grade, or several small ones
// whose pairs are cheaper to compare directly than to sort and sweep.
#pragma once

#include <algorithm>
#include <vector>

#include "cpu/lists/parallel.h"
#include "cpu/lists/policy.h"
#include "cpu/lists/radix_sort.h"
#include "cpu/lists/reader.h"

namespace fused_rankloss::cpu {

// What one pass over a list's items finds.
struct ListSummary {
  int64_t num_items = 0;
  int64_t min_label = INT64_MAX;
  int64_t max_label = INT64_MIN;
  int64_t num_lowest = 0;  // items of min_label and of max_label, if count_ends was called
  int64_t num_highest = 0;
  bool integers = true;
  bool finite = true;

  void add(const ListSummary& other) {
    num_items += other.num_items;
    num_lowest = (min_label <= other.min_label ? num_lowest : 0) +
                 (other.min_label <= min_label ? other.num_lowest : 0);
    num_highest = (max_label >= other.max_label ? num_highest : 0) +
                  (other.max_label >= max_label ? other.num_highest : 0);
    min_label = std::min(min_label, other.min_label);
    max_label = std::max(max_label, other.max_label);
    integers &= other.integers;
    finite &= other.finite;
  }

  template <typename Score>
  void add(const Block<Score>& block) {
    num_items += block.size;
    for (int t = 0; t < block.size; ++t) {
      min_label = std::min(min_label, block.label[t]);
      max_label = std::max(max_label, block.label[t]);
    }
    integers &= block.integers;
    finite &= block.finite;
  }

  // Call only on the summary of `block` alone.
  template <typename Score>
  void count_ends(const Block<Score>& block) {
    for (int t = 0; t < block.size; ++t) {
      num_lowest += block.label[t] == min_label;
      num_highest += block.label[t] == max_label;
    }
  }

  // The largest minus the smallest label, exact for the whole int64 range.
  uint64_t label_span() const {
    return static_cast<uint64_t>(max_label) - static_cast<uint64_t>(min_label);
  }
  int64_t num_grades() const { return static_cast<int64_t>(label_span()) + 1; }
  bool countable() const { return integers && label_span() < kCountedGrades; }
};

// A range of whole grades: `num_grades` of them from `first_grade` on.
struct Leaf {
  int64_t begin;
  int64_t end;
  int64_t first_grade;
  int64_t num_grades;
};

// Where every grade starts, the leaves that grades form (as many grades as `direct` items hold, or
// one), and the segments in which leaves are sorted by score.
template <typename Key>
class GradeTable {
 public:
  explicit GradeTable(int64_t direct) : direct_(direct) {}

  // Adds a grade of `num_segments` segments [starts[p], starts[p + 1]). All scores of a segment are
  // below those of the next one.
  void add_grade(const int64_t* starts, int64_t num_segments) {
    const int64_t begin = starts[0], end = starts[num_segments];
    if (begin == end) return;
    if (!leaves.empty() && end - leaves.back().begin <= direct_) {
      leaves.back().end = end;
      ++leaves.back().num_grades;
      segments.back().end = end;
    } else {
      leaves.push_back({begin, end, static_cast<int64_t>(grade_starts.size()), 1});
      if (end - begin <= direct_) {
        segments.push_back({begin, end});
      } else {
        for (int64_t p = 0; p < num_segments; ++p) segments.push_back({starts[p], starts[p + 1]});
      }
    }
    grade_starts.push_back(static_cast<Key>(begin));
  }

  std::vector<Key> grade_starts;
  std::vector<Leaf> leaves;
  std::vector<Range> segments;

 private:
  int64_t direct_;
};

// Counts the pairs of a list, given the summed weights of its grades in ascending order.
class PairCounter {
 public:
  // The count becomes NaN with a NaN weight, and infinite or NaN if weights overflow.
  void add_grade(double more_weight, double less_weight) {
    pairs_ += more_weight * below_;
    below_ += less_weight;
  }
  double pairs() const { return pairs_; }

 private:
  double below_ = 0;
  double pairs_ = 0;
};

// Calls body(block, slot) for all blocks of slots [begin, end) of the list that starts at
// `first_slot`. Positions in a block count from `slot`.
template <typename Score, typename Body>
void for_blocks(const ListReader<Score>& reader, int64_t first_slot, int64_t begin, int64_t end,
                LabelKeys keys, Body&& body) {
  Block<Score> block;
  for (int64_t slot = begin; slot < end; slot += kBlock) {
    const int count = static_cast<int>(std::min<int64_t>(kBlock, end - slot));
    reader.read(first_slot + slot, count, keys, block);
    body(block, slot);
  }
}

// The chunk of a list's slots that one task reads.
inline Range chunk(int64_t task, int64_t num_slots) {
  const int64_t begin = task * kReadChunk;
  return {begin, std::min(begin + kReadChunk, num_slots)};
}

inline int64_t num_chunks(int64_t num_slots) { return (num_slots + kReadChunk - 1) / kReadChunk; }

// The summary of the blocks that read(slot, count, block) fills.
template <typename Score, typename Read>
ListSummary summarize(Range slots, const ThreadTeam& team, Read&& read) {
  std::vector<ListSummary> parts(num_chunks(slots.size()));
  team.run(parts.size(), [&](int64_t task, int) {
    const Range range = chunk(task, slots.size());
    Block<Score> block;
    for (int64_t slot = range.begin; slot < range.end; slot += kBlock) {
      const int count = static_cast<int>(std::min<int64_t>(kBlock, range.end - slot));
      read(slots.begin + slot, count, block);
      ListSummary part;
      part.add(block);
      part.count_ends(block);
      parts[task].add(part);
    }
  });
  ListSummary summary;
  for (const ListSummary& part : parts) summary.add(part);
  return summary;
}

template <typename Score>
ListSummary summarize(const ListReader<Score>& reader, Range slots, const ThreadTeam& team) {
  return summarize<Score>(slots, team, [&](int64_t slot, int count, Block<Score>& block) {
    reader.read(slot, count, LabelKeys::kIntegers, block);
  });
}

// The same from the labels alone: `finite` is not determined.
template <typename Score>
ListSummary summarize_labels(const ListReader<Score>& reader, Range slots, const ThreadTeam& team) {
  return summarize<Score>(slots, team, [&](int64_t slot, int count, Block<Score>& block) {
    reader.read_labels(slot, count, LabelKeys::kIntegers, block);
  });
}

// Monotone bins of score keys that hold about equal numbers of items, from a sample of the list.
// Writing a grade bin by bin leaves segments to sort that fit the cache. The sorted order does not
// depend on the bins.
template <typename Score>
class ScoreBins {
 public:
  using Key = decltype(ordered_key(Score{}));

  static ScoreBins sample(const ListReader<Score>& reader, Range slots, int64_t grades) {
    ScoreBins bins;
    const int64_t wanted =
        std::min(slots.size() / (grades * kBinItems), kMaxStreams / std::max<int64_t>(grades, 1));
    if (wanted < 2) return bins;
    std::vector<Key> keys;
    const int64_t step = std::max<int64_t>(slots.size() / (wanted * kSamplesPerBin), 1);
    for (int64_t slot = slots.begin; slot < slots.end; slot += step) {
      keys.push_back(ordered_key(reader.score(slot)));
    }
    std::sort(keys.begin(), keys.end());
    bins.lowest_ = keys.front();
    while ((keys.back() - keys.front()) >> bins.shift_ >= kFineBins) ++bins.shift_;
    // A fine bin belongs to the bin of the quantile where it starts.
    for (int64_t fine = 0; fine < kFineBins; ++fine) {
      const Key start = keys.front() + (static_cast<Key>(fine) << bins.shift_);
      const bool beyond = static_cast<Key>(fine) > (keys.back() - keys.front()) >> bins.shift_;
      const int64_t rank = beyond
                               ? keys.size() - 1
                               : std::lower_bound(keys.begin(), keys.end(), start) - keys.begin();
      bins.bin_of_[fine] = static_cast<uint16_t>(rank * wanted / static_cast<int64_t>(keys.size()));
    }
    bins.count_ = wanted;
    return bins;
  }

  int64_t count() const { return count_; }

  int64_t operator()(Key key) const {
    const Key fine = key < lowest_ ? 0 : (key - lowest_) >> shift_;
    return bin_of_[std::min<Key>(fine, kFineBins - 1)];
  }

 private:
  static constexpr int64_t kFineBins = 4096;
  static constexpr int64_t kSamplesPerBin = 32;

  int64_t count_ = 1;
  Key lowest_ = 0;
  int shift_ = 0;
  uint16_t bin_of_[kFineBins] = {};
};

enum class LabelOrder { kAscending, kDescending };

// Counting sort by label, and within a label by score bin, of a list with few grades. `items`
// receives (score key, slot in the list). `buckets` is scratch for [slots]: the first pass writes
// the bucket of each item, so that the second pass needs neither labels nor bins. Returns where
// each bin of each grade starts, [grades * bins + 1].
template <typename Score, typename Key>
std::vector<int64_t> order_by_counting(const ListReader<Score>& reader, Range slots,
                                       const ListSummary& summary, const ScoreBins<Score>& bins,
                                       Item<Key>* items, uint16_t* buckets, const ThreadTeam& team,
                                       LabelOrder order = LabelOrder::kAscending) {
  const bool descending = order == LabelOrder::kDescending;
  constexpr uint16_t kPadding = UINT16_MAX;
  const int64_t num_buckets = summary.num_grades() * bins.count();
  const int64_t tasks = num_chunks(slots.size());
  std::vector<int64_t> position(tasks * num_buckets);
  team.run(tasks, [&](int64_t task, int) {
    const Range range = chunk(task, slots.size());
    int64_t* counts = position.data() + task * num_buckets;
    std::fill(buckets + range.begin, buckets + range.end, kPadding);
    for_blocks(reader, slots.begin, range.begin, range.end, LabelKeys::kIntegers,
               [&](const Block<Score>& block, int64_t slot) {
                 for (int64_t t = 0; t < block.size; ++t) {
                   const int64_t label = block.label[t];
                   const int64_t grade =
                       descending ? summary.max_label - label : label - summary.min_label;
                   const int64_t bin = bins.count() == 1 ? 0 : bins(ordered_key(block.score[t]));
                   const int64_t bucket = grade * bins.count() + bin;
                   buckets[slot + block.position[t]] = static_cast<uint16_t>(bucket);
                   ++counts[bucket];
                 }
               });
  });
  std::vector<int64_t> starts(num_buckets + 1);
  int64_t next = 0;
  for (int64_t bucket = 0; bucket < num_buckets; ++bucket) {
    starts[bucket] = next;
    for (int64_t task = 0; task < tasks; ++task) {
      next += std::exchange(position[task * num_buckets + bucket], next);
    }
  }
  starts[num_buckets] = next;
  team.run(tasks, [&](int64_t task, int) {
    const Range range = chunk(task, slots.size());
    int64_t* out = position.data() + task * num_buckets;
    Score scores[kBlock];
    for (int64_t begin = range.begin; begin < range.end; begin += kBlock) {
      const int64_t count = std::min<int64_t>(kBlock, range.end - begin);
      reader.read_scores(slots.begin + begin, static_cast<int>(count), scores);
      for (int64_t t = 0; t < count; ++t) {
        const uint16_t bucket = buckets[begin + t];
        if (bucket == kPadding) continue;
        items[out[bucket]++] = {ordered_key(scores[t]), static_cast<Key>(begin + t)};
      }
    }
  });
  return starts;
}

// Radix sort by label of a list with any labels: `items` receives (label key, slot in the list).
// Returns the one of `items` and `scratch` that holds the result; null if a label is NaN.
template <typename Score, typename Key>
Item<Key>* order_by_sorting(const ListReader<Score>& reader, Range slots,
                            const ListSummary& summary, LabelType type, Item<Key>* items,
                            Item<Key>* scratch, const ThreadTeam& team,
                            LabelOrder order = LabelOrder::kAscending) {
  const Key flipped = order == LabelOrder::kDescending ? ~Key{0} : Key{0};
  const LabelKeys keys = summary.integers ? LabelKeys::kIntegers : LabelKeys::kOrdered;
  // Integer labels become differences from the smallest one. Other labels keep their ordered bits,
  // with the sign bit flipped back if a key has 64 bits.
  const uint64_t base = summary.integers   ? static_cast<uint64_t>(summary.min_label)
                        : sizeof(Key) == 4 ? 0
                                           : 0x8000000000000000ull;
  const int64_t tasks = num_chunks(slots.size());
  std::vector<int64_t> position(tasks + 1);
  std::vector<char> has_nan(tasks);
  team.run(tasks, [&](int64_t task, int) {
    const Range range = chunk(task, slots.size());
    for_blocks(reader, slots.begin, range.begin, range.end, keys,
               [&](const Block<Score>& block, int64_t) { position[task + 1] += block.size; });
  });
  for (int64_t task = 0; task < tasks; ++task) position[task + 1] += position[task];
  team.run(tasks, [&](int64_t task, int) {
    const Range range = chunk(task, slots.size());
    Item<Key>* out = items + position[task];
    for_blocks(reader, slots.begin, range.begin, range.end, keys,
               [&](const Block<Score>& block, int64_t slot) {
                 for (int t = 0; t < block.size; ++t) {
                   has_nan[task] |= is_nan_label(block.label[t], type);
                   const uint64_t key = static_cast<uint64_t>(block.label[t]) - base;
                   *out++ = {static_cast<Key>(key) ^ flipped,
                             static_cast<Key>(slot + block.position[t])};
                 }
               });
  });
  if (std::find(has_nan.begin(), has_nan.end(), 1) != has_nan.end()) return nullptr;
  return radix_sort(items, scratch, summary.num_items, team);
}

}  // namespace fused_rankloss::cpu
