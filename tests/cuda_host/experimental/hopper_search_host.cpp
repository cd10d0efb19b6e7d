// SPDX-License-Identifier: BSD-3-Clause
//
// The ops of triplet_host.cpp with the experimental search for Hopper in them.
#define FUSED_RANKLOSS_EXPERIMENTAL
#define FRL_TRIPLET_HOST_OPS fused_rankloss_hopper_host
#include "cuda/experimental/hopper_search.cuh"
#include "launchers/triplet_host.cpp"

namespace fused_rankloss::host {
namespace {

bool wanted = false;
int64_t searches = 0;

bool launch_hopper_search(TripletQueue& queue, SearchParams& search) {
  if (!wanted || !hopper_search_fits(search.data, 1)) return false;
  ++searches;
  run_hopper_search(queue, search, [](const Halves8* cells, int64_t rows, int64_t row_halves) {
    return TensorMap{cells, rows, row_halves};
  });
  return true;
}

void want_hopper(bool value) { wanted = value; }
int64_t hopper_searches() { return searches; }

STABLE_TORCH_LIBRARY_FRAGMENT(fused_rankloss_hopper_host, m) {
  m.def("want_hopper(bool wanted) -> ()");
  m.def("hopper_searches() -> int");
  m.impl("want_hopper", boxed<&want_hopper>());
  m.impl("hopper_searches", boxed<&hopper_searches>());
}

}  // namespace
}  // namespace fused_rankloss::host
