// SPDX-License-Identifier: BSD-3-Clause
//
// The label order of a batch. References are sorted by label, stably, so that the positives of an
// anchor are neighbours: positions [begin, end) of its label. Everything else is a negative.
#pragma once

#include <algorithm>
#include <vector>

#include "args/triplet.h"
#include "common/lists.h"
#include "cpu/simd/tile_sizes.h"

namespace fused_rankloss::cpu::triplet {

struct LabelOrder {
  // With references, anchors are sorted by their labels too; without, anchors and references are
  // the same, in the same order.
  std::vector<int64_t> anchors;       // [N], the anchor at a position
  std::vector<int64_t> refs;          // [M], the reference at a position
  std::vector<Range> same_label;      // [N], positions of the references with the anchor's label
  std::vector<Range> anchors_of_ref;  // [M], positions of the anchors with the reference's label
  // [blocks of kTileSize anchors], from the first to the last of their same_label.
  std::vector<Range> same_label_hull;
  std::vector<Range> classes;  // labels that occur among the references, as positions

  explicit LabelOrder(const TripletBatch& batch) {
    const std::vector<int64_t> ref_keys =
        keys(batch.ref_labels, batch.ref_label_type, batch.num_refs);
    refs = sorted(ref_keys);
    for (int64_t begin = 0, t = 1; t <= batch.num_refs; ++t) {
      if (t < batch.num_refs && ref_keys[refs[t]] == ref_keys[refs[begin]]) continue;
      classes.push_back({begin, t});
      begin = t;
    }
    same_label.resize(batch.num_anchors);
    if (batch.self) {
      anchors = refs;
      for (const Range& range : classes) {
        std::fill(same_label.begin() + range.begin, same_label.begin() + range.end, range);
      }
      anchors_of_ref = same_label;
      make_hulls();
      return;
    }
    const std::vector<int64_t> anchor_keys =
        keys(batch.labels, batch.label_type, batch.num_anchors);
    anchors = sorted(anchor_keys);
    anchors_of_ref.resize(batch.num_refs, Range{0, 0});
    auto next = classes.begin();
    for (int64_t t = 0; t < batch.num_anchors; ++t) {
      const int64_t key = anchor_keys[anchors[t]];
      while (next != classes.end() && ref_keys[refs[next->begin]] < key) ++next;
      const bool found = next != classes.end() && ref_keys[refs[next->begin]] == key;
      same_label[t] = found ? *next : Range{0, 0};
      if (!found) continue;
      for (int64_t s = next->begin; s < next->end; ++s) {
        Range& range = anchors_of_ref[s];
        if (range.size() == 0) range.begin = t;
        range.end = t + 1;
      }
    }
    make_hulls();
  }

 private:
  void make_hulls() {
    same_label_hull.resize((same_label.size() + kTileSize - 1) / kTileSize, Range{0, 0});
    for (size_t t = 0; t < same_label.size(); ++t) {
      if (same_label[t].size() == 0) continue;
      Range& hull = same_label_hull[t / kTileSize];
      if (hull.size() == 0) hull.begin = same_label[t].begin;
      hull.end = same_label[t].end;
    }
  }

  static std::vector<int64_t> keys(const void* labels, LabelType type, int64_t size) {
    std::vector<int64_t> result(size);
    visit_labels(labels, type, [&](const auto* typed) {
      for (int64_t t = 0; t < size; ++t) result[t] = label_key(typed[t]);
    });
    return result;
  }

  static std::vector<int64_t> sorted(const std::vector<int64_t>& keys) {
    std::vector<int64_t> order(keys.size());
    for (size_t t = 0; t < order.size(); ++t) order[t] = static_cast<int64_t>(t);
    std::sort(order.begin(), order.end(),
              [&](int64_t a, int64_t b) { return keys[a] != keys[b] ? keys[a] < keys[b] : a < b; });
    return order;
  }
};

}  // namespace fused_rankloss::cpu::triplet
