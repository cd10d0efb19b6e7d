// SPDX-License-Identifier: BSD-3-Clause
//
// A batch ready to be worked on: its rows, its label order and the maths of its pairs. Positions
// are places in label order, indices places in the tensors.
#pragma once

#include <optional>
#include <type_traits>

#include "cpu/simd/tile_sizes.h"
#include "cpu/triplet/embeddings.h"
#include "cpu/triplet/labels.h"
#include "cpu/triplet/row.h"

namespace fused_rankloss::cpu::triplet {

// What the pairs of a tile are.
enum class TileKind { kNegative, kPositive, kMixed };

template <typename Real>
struct Problem {
  // Of embeddings that are stored as `Stored`.
  template <typename Stored>
  Problem(std::type_identity<Stored>, const TripletBatch& batch, const TripletTerm& term,
          const Team& team)
      : batch(batch),
        term(term),
        team(team),
        pairs(batch.distance, batch.dim),
        labels(batch),
        embeddings(static_cast<const Stored*>(batch.embeddings), batch.num_anchors, pairs, team) {
    if (!batch.self) {
      references.emplace(static_cast<const Stored*>(batch.refs), batch.num_refs, pairs, team);
    }
  }

  const TripletBatch& batch;
  TripletTerm term;
  Team team;
  Pairs<Real> pairs;
  LabelOrder labels;
  Embeddings<Real> embeddings;
  std::optional<Embeddings<Real>> references;

  const Embeddings<Real>& refs() const { return batch.self ? embeddings : *references; }

  Row<Real> anchor_at(int64_t position) const { return embeddings[labels.anchors[position]]; }
  Row<Real> ref_at(int64_t position) const { return refs()[labels.refs[position]]; }

  RowLayout layout(int64_t position) const {
    return {batch.num_refs, labels.same_label[position], batch.self ? position : -1,
            labels.refs.data()};
  }

  double key(int64_t anchor_position, int64_t ref_position) const {
    return pairs.key(anchor_at(anchor_position), ref_at(ref_position));
  }

  // The keys of an anchor and all references, [M]; its own is left out.
  void keys(int64_t anchor_position, double* keys) const {
    const Row<Real> anchor = anchor_at(anchor_position);
    for (int64_t s = 0; s < batch.num_refs; ++s) {
      keys[s] = batch.self && s == anchor_position ? 0 : pairs.key(anchor, ref_at(s));
    }
  }

  // The columns of the tile in block j that have the label of the anchor at a position.
  Range same_columns(int64_t position, int64_t j) const {
    if (position >= batch.num_anchors) return {0, 0};
    const Range same = labels.same_label[position];
    const int64_t first = j * kTileSize;
    return {std::clamp<int64_t>(same.begin - first, 0, kTileSize),
            std::clamp<int64_t>(same.end - first, 0, kTileSize)};
  }

  TileKind tile_kind(int64_t i, int64_t j) const {
    const int64_t begin = j * kTileSize, end = std::min(batch.num_refs, begin + kTileSize);
    const Range hull = labels.same_label_hull[i];
    if (hull.end <= begin || hull.begin >= end) return TileKind::kNegative;
    const int64_t last = std::min(batch.num_anchors, (i + 1) * kTileSize);
    for (int64_t t = i * kTileSize; t < last; ++t) {
      const Range same = labels.same_label[t];
      if (same.begin > begin || same.end < end) return TileKind::kMixed;
    }
    return TileKind::kPositive;
  }
};

}  // namespace fused_rankloss::cpu::triplet
