// SPDX-License-Identifier: BSD-3-Clause
//
// csrc/cuda/lists/exponential_scan.cuh by itself, over items and functions of the test's choice.
#include <algorithm>

#include "bind/torch.h"
#include "common/workspace.h"
#include "cuda/lists/exponential_scan.cuh"
#include "harness/host_memory.h"

namespace fused_rankloss::host {

using namespace cuda;

namespace {

std::uint64_t seed = 0;
int64_t most_blocks = 2;

// Both sweeps' numbers are tables.
template <int kTableSides>
struct TableSource {
  static constexpr int kSides = kTableSides;

  int64_t size;  // places
  int features;
  double scale;
  const double* positions;  // [places]
  const bool* heads;        // [places]
  const uint8_t* places;    // [2, places] of ScanPlace, without kOpens
  const double* pushes;     // [F, places]
  const double* queries;    // [F, places]

  FRL_HD double position(int64_t place) const { return positions[place]; }

  FRL_HD unsigned at(SweepStep sweep, int64_t place) const {
    const bool opens = sweep.up ? heads[place] : place + 1 == size || heads[place + 1];
    return places[(sweep.up ? 0 : size) + place] | (opens ? kOpens : 0u);
  }
  FRL_HD double push(SweepStep, int64_t place, int feature) const {
    return pushes[feature * size + place];
  }
  FRL_HD double query(SweepStep, int64_t place, int feature) const {
    return queries[feature * size + place];
  }
};

template <class Source>
struct Params {
  Source source;
  ScanFunctions functions;
  TileSums<Source::kSides> tiles;
  const int64_t* lists;  // [lists + 1]: their first places
  int64_t num_lists;
  double* slopes;  // [2, places]
  double* values;

  int64_t tiles_of(int64_t list) const {
    return TileSums<Source::kSides>::tiles_of(lists[list + 1] - lists[list]);
  }
};

// Calls `body(list, t)` for what the warps of the grid share out: t = 0 .. count(list) - 1.
template <typename Count, typename Body>
void for_warps(int64_t num_lists, Count count, Body body) {
  int64_t turn = 0;
  for (int64_t list = 0; list < num_lists; ++list) {
    for (int64_t t = 0; t < count(list); ++t, ++turn) {
      const int64_t warp = turn % (gridDim.x * (kScanThreads / kWarpSize));
      if (warp == blockIdx.x * (kScanThreads / kWarpSize) + warp_index()) body(list, t);
    }
  }
}

template <class Source>
__global__ void __launch_bounds__(kScanThreads)
    scan_kernel(const __grid_constant__ Params<Source> params) {
  const Grid grid;
  const ExponentialScan<Source> scan(params.source, params.functions, params.tiles);
  const auto first_tile = [&](int64_t list) {
    int64_t tile = 0;
    for (int64_t b = 0; b < list; ++b) tile += params.tiles_of(b);
    return tile;
  };
  const auto for_tiles = [&](auto body) {
    for_warps(
        params.num_lists, [&](int64_t list) { return params.tiles_of(list); },
        [&](int64_t list, int64_t t) {
          const int64_t begin = params.lists[list] + t * kPowerTile;
          const ScanTile tile{begin, std::min(begin + kPowerTile, params.lists[list + 1]),
                              first_tile(list) + t};
          body(SweepStep{true}, tile);
          body(SweepStep{false}, tile);
        });
  };
  for_tiles([&](SweepStep sweep, const ScanTile& tile) { scan.store_tile(sweep, tile); });
  grid.sync();
  for_warps(
      params.num_lists, [&](int64_t) { return scan.tasks_of_list(2); },
      [&](int64_t list, int64_t task) {
        scan.scan_list(static_cast<int>(task), first_tile(list), params.tiles_of(list));
      });
  grid.sync();
  for_tiles([&](SweepStep sweep, const ScanTile& tile) {
    const RunSums sums = scan.look(sweep, tile);
    for (int t = 0; t < kItemsPerThread; ++t) {
      const int64_t place = scan.place_of(sweep, tile, t);
      if (place >= tile.end) continue;
      const int64_t at = (sweep.up ? 0 : params.source.size) + place;
      params.slopes[at] = sums.slope[t];
      params.values[at] = sums.value[t];
    }
  });
}

const double* numbers(const Tensor& tensor) {
  return static_cast<const double*>(tensor.const_data_ptr());
}

template <int kSides>
void run(const TableSource<kSides>& source, const ScanFunctions& functions, const Tensor& lists,
         double* results) {
  Params<TableSource<kSides>> params{source,
                                     functions,
                                     {},
                                     static_cast<const int64_t*>(lists.const_data_ptr()),
                                     lists.numel() - 1,
                                     results,
                                     results + 2 * source.size};
  int64_t tiles = 0;
  for (int64_t list = 0; list < params.num_lists; ++list) tiles += params.tiles_of(list);
  const auto lay_out = [&](Workspace& workspace) {
    params.tiles = TileSums<kSides>::take(workspace, tiles, 2, source.features, functions.powers);
  };
  Workspace sizes(nullptr);
  lay_out(sizes);
  std::vector<std::byte> memory = workspace_of(sizes.bytes());
  Workspace workspace(memory.data());
  lay_out(workspace);
  cuda_host::launch({.grid = {static_cast<unsigned>(most_blocks)},
                     .block = {kScanThreads},
                     .seed = seed,
                     .together = true},
                    scan_kernel<TableSource<kSides>>, params);
}

// [2, 2, places]: slopes and values of both sweeps. `powers` [2, K] holds the factors of the
// slope's and of the value's function.
Tensor scan(const Tensor& positions, const Tensor& lists, const Tensor& heads, const Tensor& places,
            const Tensor& pushes, const Tensor& queries, const Tensor& powers, bool moments,
            double scale, int64_t sides) {
  const int64_t size = positions.numel();
  ScanFunctions functions;
  functions.powers = static_cast<int>(powers.size(1));
  for (int k = 0; k < functions.powers; ++k) {
    functions.slope[k] = numbers(powers)[k];
    functions.value[k] = numbers(powers)[functions.powers + k];
  }
  functions.has_moments = moments;
  Tensor results = new_tensor(positions, {2, 2, size}, ScalarType::Double);
  const auto solve = [&]<int kSides>() {
    run<kSides>(
        {size, static_cast<int>(pushes.size(0)), scale, numbers(positions),
         static_cast<const bool*>(heads.const_data_ptr()),
         static_cast<const uint8_t*>(places.const_data_ptr()), numbers(pushes), numbers(queries)},
        functions, lists, static_cast<double*>(results.mutable_data_ptr()));
  };
  if (sides == 2) {
    solve.operator()<2>();
  } else {
    solve.operator()<1>();
  }
  return results;
}

template <typename Series>
Tensor series_of(const Tensor& like) {
  constexpr int64_t kTerms = Series::kTerms;
  Tensor result = new_tensor(like, {3, kTerms}, ScalarType::Double);
  double* at = static_cast<double*>(result.mutable_data_ptr());
  for (int k = 0; k < kTerms; ++k) {
    at[k] = Series::softplus(k);
    at[kTerms + k] = Series::sigmoid(k);
    at[2 * kTerms + k] = Series::curvature(k);
  }
  return result;
}

// [3, K]: the coefficients of softplus, sigmoid and curvature.
Tensor series(const Tensor& like, bool wide) {
  return wide ? series_of<WideSeries>(like) : series_of<NarrowSeries>(like);
}

void set_seed(int64_t value) { seed = value; }
void set_blocks(int64_t value) { most_blocks = value; }

STABLE_TORCH_LIBRARY(fused_rankloss_exponential_scan_host, m) {
  m.def(
      "scan(Tensor positions, Tensor lists, Tensor heads, Tensor places, Tensor pushes, Tensor "
      "queries, "
      "Tensor powers, bool moments, float scale, int sides) -> Tensor");
  m.def("series(Tensor like, bool wide) -> Tensor");
  m.def("set_seed(int seed) -> ()");
  m.def("set_blocks(int blocks) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(fused_rankloss_exponential_scan_host, CompositeExplicitAutograd, m) {
  m.impl("scan", boxed<&scan>());
  m.impl("series", boxed<&series>());
  m.impl("set_seed", boxed<&set_seed>());
  m.impl("set_blocks", boxed<&set_blocks>());
}

}  // namespace
}  // namespace fused_rankloss::host
