// SPDX-License-Identifier: BSD-3-Clause
//
// Part of all_loops.inl, after sweep_kernels.inl and under its rules.

using FloatVector = Vector<float>;

void values(float* tile, float sign, const float* row_bias, const float* column_bias) {
  for (int64_t r = 0; r < kTileSize; ++r) {
    for (int64_t c = 0; c < kTileSize; c += kLanesOf<float>) {
      float* at = tile + r * kTileSize + c;
      store_vector<float>(at,
                          (row_bias[r] + load_vector(column_bias + c)) + sign * load_vector(at));
    }
  }
}

// A vector of windows, or the same one in all lanes.
struct WindowVectors {
  FloatVector low, high, threshold;

  // 1 where a value is inside.
  FloatVector inside(FloatVector value, FloatVector slack) const {
    const FloatVector zero = {}, one = splat(1.0f);
    const FloatVector above = value + slack > low ? one : zero;
    return value <= threshold ? above : zero;
  }

  // The smaller of `least` and the upper ends of values certain to be above the lower end.
  FloatVector lower(FloatVector least, FloatVector value, FloatVector slack) const {
    const FloatVector end = value + slack;
    const FloatVector certain = value > high ? end : least;
    return certain < least ? certain : least;
  }
};

void look_at_rows(const float* values, const Windows& windows, uint8_t* reached) {
  for (int64_t r = 0; r < kTileSize; ++r) {
    const WindowVectors window{splat(windows.low[r]), splat(windows.high[r]),
                               splat(windows.threshold[r])};
    const float* row = values + r * kTileSize;
    FloatVector any = {};
    for (int64_t c = 0; c < kTileSize; c += kLanesOf<float>) {
      any += window.inside(load_vector(row + c),
                           windows.slack[r] + load_vector(windows.partner_slack + c));
    }
    reached[r] = lane_sum<float>(any) > 0;
    if (!reached[r]) continue;
    FloatVector least = window.threshold;
    for (int64_t c = 0; c < kTileSize; c += kLanesOf<float>) {
      least = window.lower(least, load_vector(row + c),
                           windows.slack[r] + load_vector(windows.partner_slack + c));
    }
    for (int64_t l = 0; l < kLanesOf<float>; ++l) {
      if (least[l] < windows.threshold[r]) windows.threshold[r] = least[l];
    }
  }
}

void look_at_columns(const float* values, const Windows& windows, uint8_t* reached) {
  for (int64_t c = 0; c < kTileSize; c += kLanesOf<float>) {
    const WindowVectors window{load_vector(windows.low + c), load_vector(windows.high + c),
                               load_vector(windows.threshold + c)};
    const FloatVector slack = load_vector(windows.slack + c);
    FloatVector any = {};
    for (int64_t r = 0; r < kTileSize; ++r) {
      any +=
          window.inside(load_vector(values + r * kTileSize + c), windows.partner_slack[r] + slack);
    }
    for (int64_t l = 0; l < kLanesOf<float>; ++l) reached[c + l] = any[l] > 0;
    if (lane_sum<float>(any) == 0) continue;
    FloatVector least = window.threshold;
    for (int64_t r = 0; r < kTileSize; ++r) {
      least = window.lower(least, load_vector(values + r * kTileSize + c),
                           windows.partner_slack[r] + slack);
    }
    store_vector<float>(windows.threshold + c, least);
  }
}

constexpr TripletKernels kernels_for(const char* isa) {
  return {isa,
          row_kernels<float>(),
          row_kernels<double>(),
          tile_kernels<float>(),
          tile_kernels<double>(),
          sweep_kernels<float>(),
          sweep_kernels<double>(),
          {values, look_at_rows, look_at_columns}};
}
