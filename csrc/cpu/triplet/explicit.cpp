// SPDX-License-Identifier: BSD-3-Clause
//
// The ops triplet_forward and triplet_backward on the CPU: one pass over the rows each, in chunks
// of rows for all threads.
//
// Memory: the forward pass stores two or three distances and a slope per row, and the backward pass
// recomputes the differences. Numerics: fp64 throughout, rounded once. Determinism: a row is solved
// by one thread, and sums over rows are those of fixed chunks.
#include <cmath>
#include <vector>

#include "bind/triplet.h"
#include "cpu/lists/parallel.h"
#include "cpu/triplet/explicit_norms.h"
#include "cpu/triplet/pairs.h"
#include "cpu/triplet/policy.h"

namespace fused_rankloss::cpu::triplet {
namespace {

// A stored row in its compute type; 16-bit types are converted into `buffer`.
template <typename Stored>
const row_t<Stored>* load_row(const void* rows, int64_t row, int64_t dim, row_t<Stored>* buffer) {
  const Stored* stored = static_cast<const Stored*>(rows) + row * dim;
  if constexpr (std::is_same_v<Stored, row_t<Stored>>) {
    return stored;
  } else {
    for (int64_t d = 0; d < dim; ++d) buffer[d] = to_compute(stored[d]);
    return buffer;
  }
}

template <typename Stored>
void store_row(void* rows, int64_t row, const double* values, int64_t dim) {
  Stored* stored = static_cast<Stored*>(rows) + row * dim;
  for (int64_t d = 0; d < dim; ++d) stored[d] = round_to<Stored>(values[d]);
}

// Rows per task: enough elements to be worth a task.
struct Chunks {
  explicit Chunks(const TripletRows& rows)
      : rows_each(std::max<int64_t>(1, kTripletTaskNumbers / std::max<int64_t>(1, rows.dim))),
        num_rows(rows.num_rows),
        count((num_rows + rows_each - 1) / rows_each) {}

  Range operator[](int64_t task) const {
    return {task * rows_each, std::min((task + 1) * rows_each, num_rows)};
  }

  ThreadTeam team() const { return count > 1 ? ThreadTeam::all() : ThreadTeam::single(); }

  int64_t rows_each;
  int64_t num_rows;
  int64_t count;
};

// The rows of one triplet.
template <typename Real>
struct Triplet {
  Row<Real> anchor, positive, negative;
};

// Reads the triplets of one task.
template <typename Stored>
class TripletReader {
 public:
  using Real = row_t<Stored>;

  TripletReader(const TripletRows& rows, const Pairs<Real>& pairs)
      : rows_(rows),
        pairs_(pairs),
        buffer_(std::is_same_v<Stored, Real> ? 0 : 3 * static_cast<size_t>(rows.dim)) {}

  Triplet<Real> operator()(int64_t row) {
    const auto load = [&](const void* from, int64_t slot) {
      return pairs_.row(load_row<Stored>(from, row, rows_.dim, buffer_.data() + slot * rows_.dim));
    };
    return {load(rows_.anchor, 0), load(rows_.positive, 1), load(rows_.negative, 2)};
  }

 private:
  const TripletRows& rows_;
  const Pairs<Real>& pairs_;
  std::vector<Real> buffer_;
};

struct TermSums {
  double value = 0;
  int64_t nonzero = 0;
};

template <typename Stored>
void forward(const TripletArgs& args) {
  using Real = row_t<Stored>;
  using Loss = std::conditional_t<std::is_same_v<Stored, double>, double, float>;
  const TripletRows& rows = args.rows;
  const int64_t num_rows = rows.num_rows;
  const Pairs<Real> pairs(rows.distance, rows.dim);
  const ExplicitDistance<Real> distance(rows, pairs);
  const TripletTerm term = args.term.term();
  const Chunks chunks(rows);
  std::vector<TermSums> sums(chunks.count);
  Loss* loss = static_cast<Loss*>(args.loss);
  const bool none = args.reduction == TripletReduction::kNone;

  chunks.team().run(chunks.count, [&](int64_t task, int) {
    TripletReader<Stored> read(rows, pairs);
    const Range range = chunks[task];
    TermSums sum;
    for (int64_t r = range.begin; r < range.end; ++r) {
      const Triplet<Real> triplet = read(r);
      const double to_positive = distance(triplet.anchor, triplet.positive);
      double to_negative = distance(triplet.anchor, triplet.negative);
      args.distances[r] = to_positive;
      args.distances[num_rows + r] = to_negative;
      if (rows.swap) {
        const double other = distance(triplet.positive, triplet.negative);
        args.distances[2 * num_rows + r] = other;
        if (!(to_negative <= other)) to_negative = to_negative == to_negative ? other : to_negative;
      }
      const double gap = term.gap(to_positive, to_negative), value = term.value(gap);
      args.slope[r] = term.slope(gap);
      if (none) loss[r] = static_cast<Loss>(value);
      sum.value += value;
      sum.nonzero += !(value <= 0);
    }
    sums[task] = sum;
  });

  TermSums total;
  for (const TermSums& sum : sums) {
    total.value += sum.value;
    total.nonzero += sum.nonzero;
  }
  if (none) return;
  const double scale = reduction_scale(args.reduction, static_cast<double>(num_rows),
                                       static_cast<double>(total.nonzero));
  *loss = static_cast<Loss>(scale * total.value);
  for (int64_t r = 0; r < num_rows; ++r) args.slope[r] *= scale;
}

template <typename Stored>
void backward(const TripletBackwardArgs& args) {
  using Real = row_t<Stored>;
  const TripletRows& rows = args.rows;
  const int64_t num_rows = rows.num_rows, dim = rows.dim;
  const Pairs<Real> pairs(rows.distance, dim);
  const ExplicitDistance<Real> distance(rows, pairs);
  const Chunks chunks(rows);

  chunks.team().run(chunks.count, [&](int64_t task, int) {
    TripletReader<Stored> read(rows, pairs);
    std::vector<double> grads(3 * dim);
    double* const anchor = grads.data();
    double* const positive = anchor + dim;
    double* const negative = positive + dim;
    const Range range = chunks[task];
    for (int64_t r = range.begin; r < range.end; ++r) {
      const double weight = args.grad_loss(r) * args.slope[r];
      std::fill(grads.begin(), grads.end(), 0.0);
      if (weight != 0) {
        const Triplet<Real> triplet = read(r);
        const double to_negative = args.distances[num_rows + r];
        double share = 1;  // weight of (a, n) in the negative's distance; (p, n) has the rest
        if (rows.swap) {
          const double other = args.distances[2 * num_rows + r];
          share = to_negative == other ? 0.5 : (to_negative > other ? 0.0 : 1.0);
          distance.add_gradients(positive, negative, -weight * (1 - share), other, triplet.positive,
                                 triplet.negative);
        }
        distance.add_gradients(anchor, positive, weight, args.distances[r], triplet.anchor,
                               triplet.positive);
        distance.add_gradients(anchor, negative, -weight * share, to_negative, triplet.anchor,
                               triplet.negative);
      }
      store_row<Stored>(args.grad_anchor, r, anchor, dim);
      store_row<Stored>(args.grad_positive, r, positive, dim);
      store_row<Stored>(args.grad_negative, r, negative, dim);
    }
  });
}

void solve_forward(const TripletCall& call) {
  dispatch_scores(call.dtype, call.op, [&](auto stored) { forward<decltype(stored)>(call.args); });
}

void solve_backward(const TripletBackwardCall& call) {
  dispatch_scores(call.dtype, call.op, [&](auto stored) { backward<decltype(stored)>(call.args); });
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss, CPU, m) {
  m.impl("triplet_forward", boxed<&Op<TripletCall, solve_forward>::run>());
  m.impl("triplet_backward", boxed<&Op<TripletBackwardCall, solve_backward>::run>());
}

}  // namespace
}  // namespace fused_rankloss::cpu::triplet
