// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "common/platform.h"

namespace fused_rankloss {

// Weighted moments of the gaps between a sweep position x and the items it has passed:
//
//   count = sum_i w_i        first = sum_i w_i (x - s_i)        second = sum_i w_i (x - s_i)^2
//
// A sweep over sorted scores needs only these for any pair loss that is a polynomial of degree <= 2
// in the gap. Every term is non-negative, so nothing cancels, whatever offset the scores have. Two
// consecutive ranges combine (`advance` over the later one, then `add`), which makes the sweep a
// parallel scan.
struct GapMoments {
  double count = 0;
  double first = 0;
  double second = 0;

  FRL_HD void advance(double distance) {
    // No change between equal positions, including two equal infinities (distance NaN), nor over
    // any distance if the items have weight 0.
    if (!(count > 0 && distance > 0)) return;
    second += distance * (2 * first + count * distance);
    first += count * distance;
  }

  FRL_HD void push(double weight) { count += weight; }

  FRL_HD void add(const GapMoments& other) {
    count += other.count;
    first += other.first;
    second += other.second;
  }
};

}  // namespace fused_rankloss
