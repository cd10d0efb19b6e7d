// SPDX-License-Identifier: BSD-3-Clause
//
// Declares the ops; bind/schemas.h says what each is. STABLE_TORCH_LIBRARY is TORCH_LIBRARY of the
// LibTorch Stable ABI. Kernels register themselves at the end of cpu/<stem>.cpp and
// cuda/<stem>.cu.
#include <torch/csrc/stable/library.h>

#include "bind/schemas.h"

STABLE_TORCH_LIBRARY(fused_rankloss, m) {
  using namespace fused_rankloss;
  m.def(kPairwiseForward);
  m.def(kLambdaForward);
  m.def(kListwiseForward);
  m.def(kListsBackward);
  m.def(kTripletForward);
  m.def(kTripletBackward);
  m.def(kBatchTripletForward);
  m.def(kBatchTripletBackward);
  m.def(kCatalogueForward);
  m.def(kCatalogueBlock);
}
