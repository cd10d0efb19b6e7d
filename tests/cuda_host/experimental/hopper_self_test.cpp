// SPDX-License-Identifier: BSD-3-Clause
//
// A small kernel of copies and products of warpgroups (csrc/cuda/experimental/sm90.cuh), and what
// it is with one bug: test_hopper_harness.py runs them.
#include <algorithm>
#include <string>

#include "cuda/experimental/sm90.cuh"

namespace fused_rankloss::host {

using namespace cuda;

namespace {

enum Bug {
  kRight,
  kNotInitialised,
  kNoBlockBarrier,
  kNotPublished,
  kTooManyArrivals,
  kExpectsTooMuch,
  kNoWaitForCopy,
  kWrongParity,
  kNoBegin,
  kDivergingProducts,
  kNoWaitForProduct,
  kPlaceGivenBackEarly,
  kCopyOntoCopy,
  kNotAligned,
  kOutsideOfMemory,
  kUnsyncedGroup,
};

// Rows and columns beyond these are outside of the matrix.
constexpr int kMatrixRows = 130, kMatrixHalves = 72;
constexpr int kFirstRow = 64, kFirstColumn = 32;
Halves8 matrix[kMatrixRows * kMatrixHalves / 8];

int number(int row, int column) {
  if (row >= kMatrixRows || column >= kMatrixHalves) return 0;
  return (row * 7 + column * 3) % 11 - 5;
}

constexpr int kBlocks = 2;

// Of the first 16 columns of a tile, and of the next.
float products[kBlocks][2][kProductRows][kTileRows];

struct Shared {
  Mbarrier full, empty;
  SharedArray<int, kGroupThreads> numbers;
};

template <Bug kBug>
void copy(const TensorMap& map, Shared& shared, uint32_t place) {
  uint32_t to = place;
  if (kBug == kNotAligned) to += 128;
  if (kBug == kOutsideOfMemory) to += kTileBytes;
  for (uint32_t tile = 0; tile < 2; ++tile) {
    shared.empty.wait(1 - tile);
    shared.full.arrive_expecting(kTileBytes + (kBug == kExpectsTooMuch));
    if (kBug == kTooManyArrivals) shared.full.arrive();
    copy_tile(to, map, kFirstRow, kFirstColumn * static_cast<int>(tile), shared.full);
    if (kBug == kCopyOntoCopy) copy_tile(to, map, 0, 0, shared.full);
  }
}

// Multiplies the first 64 rows of a tile with all of them. The second tile takes the place of the
// first.
template <Bug kBug>
void multiply(Shared& shared, uint32_t place) {
  const int thread = static_cast<int>(threadIdx.x);
  for (int tile = 0; tile < 2; ++tile) {
    FragmentC c[16] = {};
    if (kBug != kNoWaitForCopy) {
      shared.full.wait(static_cast<uint32_t>(kBug == kWrongParity ? 1 - tile : tile));
    }
    if (kBug != kNoBegin) begin_products();
    for (uint32_t step = 0; step < 2; ++step) {
      const bool other = kBug == kDivergingProducts && warp_index() == 3;
      const uint64_t operand = matrix_descriptor(place + 32 * (other ? 1 - step : step));
      multiply_tiles(c, operand, operand);
    }
    commit_products();
    const auto give_back = [&] {
      if (lane_index() == 0) shared.empty.arrive();
    };
    if (kBug == kPlaceGivenBackEarly) give_back();
    if (kBug != kNoWaitForProduct || tile == 0) wait_for_products<0>();
    if (kBug != kPlaceGivenBackEarly) give_back();
    for (int n = 0; n < 16; ++n) {
      for (int i = 0; i < 4; ++i) {
        const int row = warp_index() * 16 + FragmentC::row(lane_index(), i);
        const int column = n * 8 + FragmentC::column(lane_index(), i);
        products[blockIdx.x][tile][row][column] = c[n].values[i];
      }
    }
    wait_for_products<0>();
  }
  shared.numbers.store(thread, thread);
  if (kBug != kUnsyncedGroup) sync_group();
  shared.numbers.load(kGroupThreads - 1 - thread);
}

template <Bug kBug>
__global__ void multiplies_two_tiles(const TensorMap map) {
  __shared__ Shared shared;
  const uint32_t place =
      (dynamic_shared_address() + kSwizzleBytes - 1) / kSwizzleBytes * kSwizzleBytes;
  if (threadIdx.x == 0 && kBug != kNotInitialised) {
    shared.full.init(1);
    shared.empty.init(kGroupWarps);
    if (kBug != kNotPublished) publish_mbarriers();
  }
  if (kBug != kNoBlockBarrier) __syncthreads();
  if (group_index() == 0) {
    multiply<kBug>(shared, place);
  } else if (threadIdx.x % kGroupThreads == 0) {
    copy<kBug>(map, shared, place);
  }
}

template <Bug kBug = kRight>
void launch(int bug, std::uint64_t seed) {
  if constexpr (kBug < kUnsyncedGroup) {
    if (bug != kBug) return launch<static_cast<Bug>(kBug + 1)>(bug, seed);
  }
  cuda_host::launch({.grid = {kBlocks},
                     .block = {2 * kGroupThreads},
                     .dynamic_bytes = kTileBytes + kSwizzleBytes,
                     .seed = seed},
                    multiplies_two_tiles<kBug>, TensorMap{matrix, kMatrixRows, kMatrixHalves});
}

std::string run_kernel(int bug, std::uint64_t seed) {
  for (int row = 0; row < kMatrixRows; ++row) {
    for (int column = 0; column < kMatrixHalves; ++column) {
      const Half half = from_float<Half>(static_cast<float>(number(row, column)));
      uint32_t& pair = matrix[(row * kMatrixHalves + column) / 8].pairs[column % 8 / 2];
      pair = column % 2 == 0 ? half.bits : pair | static_cast<uint32_t>(half.bits) << 16;
    }
  }
  float* const numbers = &products[0][0][0][0];
  std::fill_n(numbers, sizeof(products) / sizeof(float), -1.0f);
  try {
    launch(bug, seed);
  } catch (const cuda_host::Error& error) {
    return error.what();
  }
  int wrong = 0;
  for (int tile = 0; tile < 2; ++tile) {
    for (int i = 0; i < kProductRows; ++i) {
      for (int j = 0; j < kTileRows; ++j) {
        int sum = 0;
        for (int k = 0; k < 2 * kMmaDepth; ++k) {
          const int column = kFirstColumn * tile + k;
          sum += number(kFirstRow + i, column) * number(kFirstRow + j, column);
        }
        for (const auto& block : products) wrong += block[tile][i][j] != static_cast<float>(sum);
      }
    }
  }
  return std::to_string(wrong);
}

}  // namespace
}  // namespace fused_rankloss::host

extern "C" __attribute__((visibility("default"))) const char* run(int bug, std::uint64_t seed) {
  static std::string result;
  result = fused_rankloss::host::run_kernel(bug, seed);
  return result.c_str();
}
