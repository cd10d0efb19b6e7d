// SPDX-License-Identifier: BSD-3-Clause
//
// Reads the real items of a list in blocks, whatever the dtypes of scores and labels and wherever
// its padding lies, so that the algorithms see arrays of one type.
#pragma once

#include <cmath>

#include "args/list_inputs.h"
#include "common/half.h"

namespace fused_rankloss::cpu {

// Slots a block covers: its arrays stay in the first-level cache.
inline constexpr int kBlock = 1024;

// Integer-valued labels are most labels, and small ranges of them need no sort: they are read as
// plain integers where all of a list's are; the others through their ordered bits.
enum class LabelKeys { kIntegers, kOrdered };

template <typename Score>
struct Block {
  int size = 0;          // real items
  bool finite = true;    // no score is infinite or NaN
  bool integers = true;  // every label is an integer below 2^24 in magnitude or of integer dtype
  int32_t position[kBlock];  // of the item in the block's slots
  Score score[kBlock];
  int64_t label[kBlock];
};

// Where the items of a block go as fp64: narrower scores exactly, labels as their nearest numbers.
struct ItemValues {
  double* score;
  double* label;
  double* weight;     // written if there are any
  int32_t* position;  // of the item in the block's slots; written if there is a mask
};

template <typename Score>
class ListReader {
 public:
  // `Stored` is the dtype of the scores in memory.
  template <typename Stored>
  static ListReader create(const ListInputs& args, Stored) {
    return ListReader(args, load_scores<Stored>, std::is_same_v<Stored, double>);
  }

  // The block of `count <= kBlock` slots from `slot` on.
  void read(int64_t slot, int count, LabelKeys keys, Block<Score>& block) const {
    read_labels(slot, count, keys, block);
    block.finite = load_scores_(args_.scores, slot, block.position, block.size, block.score);
  }

  // Without its scores.
  void read_labels(int64_t slot, int count, LabelKeys keys, Block<Score>& block) const {
    block.size = compact(slot, count, block.position);
    block.integers = visit_labels(args_.labels, args_.label_type, [&](const auto* labels) {
      return load_labels(labels + slot, block, keys);
    });
  }

  // The real items of the block of `count <= kBlock` slots from `slot` on, as values. Returns how
  // many there are.
  int read_values(int64_t slot, int count, const ItemValues& out, bool& finite) const {
    int32_t* kept = args_.lists.mask == nullptr ? nullptr : out.position;
    const int size = kept == nullptr ? count : compact(slot, count, kept);
    Score scores[kBlock];
    finite = load_scores_(args_.scores, slot, kept, size, scores);
    for (int64_t t = 0; t < size; ++t) out.score[t] = scores[t];
    visit_labels(args_.labels, args_.label_type, [&](const auto* labels) {
      if (is_dense(kept, size)) {
        for (int64_t t = 0; t < size; ++t) out.label[t] = label_number(labels[slot + t]);
      } else {
        for (int64_t t = 0; t < size; ++t) out.label[t] = label_number(labels[slot + kept[t]]);
      }
    });
    for (int64_t t = 0; weighted() && t < size; ++t) {
      out.weight[t] = more_weight(slot + (kept == nullptr ? t : kept[t]));
    }
    return size;
  }

  // The scores of `count` slots, padding included.
  void read_scores(int64_t slot, int count, Score* scores) const {
    load_scores_(args_.scores, slot, nullptr, count, scores);
  }

  Score score(int64_t slot) const {
    Score score;
    read_scores(slot, 1, &score);
    return score;
  }

  // fp64 scores have fp64 gradients, all others fp32.
  bool double_results() const { return is_double_; }

  bool weighted() const { return args_.weights != nullptr; }

  // The item's weight in the pairs in which it is the more, and the less, relevant one.
  double more_weight(int64_t slot) const {
    if (!weighted()) return 1.0;
    return is_double_ ? static_cast<const double*>(args_.weights)[slot]
                      : static_cast<const float*>(args_.weights)[slot];
  }
  double less_weight(int64_t slot) const { return preferred() ? 1.0 : more_weight(slot); }
  bool preferred() const { return args_.preferred; }

 private:
  using LoadScores = bool (*)(const void*, int64_t, const int32_t*, int, Score*);

  ListReader(const ListInputs& args, LoadScores load_scores, bool is_double)
      : args_(args), load_scores_(load_scores), is_double_(is_double) {}

  int compact(int64_t slot, int count, int32_t* position) const {
    if (args_.lists.mask == nullptr) {
      for (int t = 0; t < count; ++t) position[t] = t;
      return count;
    }
    int size = 0;
    for (int t = 0; t < count; ++t) {
      position[size] = t;
      size += args_.lists.is_real(slot + t);
    }
    return size;
  }

  // Positions ascend, so that the last one tells whether any was left out; null leaves out none.
  static bool is_dense(const int32_t* position, int64_t size) {
    return position == nullptr || (size > 0 && position[size - 1] == size - 1);
  }

  template <typename Stored>
  static bool load_scores(const void* scores, int64_t slot, const int32_t* position, int size,
                          Score* out) {
    const Stored* typed = static_cast<const Stored*>(scores) + slot;
    if (is_dense(position, size)) {
      for (int64_t t = 0; t < size; ++t) out[t] = to_compute(typed[t]);
    } else {
      for (int64_t t = 0; t < size; ++t) out[t] = to_compute(typed[position[t]]);
    }
    int finite = 1;
    for (int64_t t = 0; t < size; ++t) {
      finite &= std::fabs(out[t]) <= std::numeric_limits<Score>::max();
    }
    return finite != 0;
  }

  template <typename Label>
  static bool load_labels(const Label* labels, Block<Score>& block, LabelKeys keys) {
    if (is_dense(block.position, block.size)) {
      return load_labels(block, keys, [labels](int64_t t) { return labels[t]; });
    }
    const int32_t* position = block.position;
    return load_labels(block, keys, [=](int64_t t) { return labels[position[t]]; });
  }

  template <typename Load>
  static bool load_labels(Block<Score>& block, LabelKeys keys, Load&& load) {
    using Label = decltype(load(0));
    int integers = 1;
    for (int64_t t = 0; t < block.size; ++t) {
      const Label label = load(t);
      if constexpr (std::is_integral_v<Label> || std::is_same_v<Label, Bool>) {
        block.label[t] = label_key(label);
      } else if (keys == LabelKeys::kOrdered) {
        block.label[t] = label_key(label);
      } else {
        const auto value = to_compute(label);
        const bool small = std::fabs(value) < 0x1p24;
        const int32_t rounded = small ? static_cast<int32_t>(value) : 0;
        integers &= small && static_cast<decltype(value)>(rounded) == value;
        block.label[t] = rounded;
      }
    }
    return integers != 0;
  }

  const ListInputs& args_;
  LoadScores load_scores_;
  bool is_double_;
};

// Finds what makes a list's loss NaN: a NaN score, and two items of different labels whose scores
// are the same infinity, for their difference is NaN.
class InfinityCheck {
 public:
  template <typename Score>
  bool poisons(Score score, int64_t label) {
    if (!std::isinf(score)) return std::isnan(score);
    Seen& seen = seen_[score > 0];
    if (!seen.any) seen = {true, label};
    return seen.label != label;
  }

 private:
  struct Seen {
    bool any = false;
    int64_t label = 0;
  };
  Seen seen_[2];
};

// Weight of the item at `index` of the list, in its role.
template <typename Score>
struct ListWeights {
  const ListReader<Score>& reader;
  int64_t first_slot;

  double more(int64_t index) const { return reader.more_weight(first_slot + index); }
  double less(int64_t index) const { return reader.less_weight(first_slot + index); }

  // Its own weight for sums of a whole level: NaN where it is none.
  double checked(int64_t index) const {
    const double weight = reader.more_weight(first_slot + index);
    return is_weight(weight) ? weight : std::nan("");
  }
};

}  // namespace fused_rankloss::cpu
