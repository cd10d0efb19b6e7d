// SPDX-License-Identifier: BSD-3-Clause
//
// All inner loops for one instruction set. Included by <isa>.cpp inside a namespace of that
// instruction set, after all_loops.h, with two macros: FRL_ISA, its name as a string, and
// FRL_VECTOR_BYTES. No standard header may be included here: its inline functions would be compiled
// for that instruction set too, and the linker could pick them for all callers.

// clang-format off: in this order
namespace {
namespace pair {
#include "cpu/simd/pair_loops.inl"
}
namespace bucket {
#include "cpu/simd/bucket_loops.inl"
}
namespace lambda {
#include "cpu/simd/lambda_loops.inl"
}
namespace listwise {
#include "cpu/simd/listwise_loops.inl"
}
namespace catalogue {
#include "cpu/simd/catalogue_loops.inl"
}
namespace triplet {
#include "cpu/simd/row_kernels.inl"
#include "cpu/simd/tile_kernels.inl"
#include "cpu/simd/sweep_kernels.inl"
#include "cpu/simd/window_kernels.inl"
}
}  // namespace
// clang-format on

// Constants, so that no instruction of this set runs before the choice is made.
extern const PairLoops kPairLoops;
constinit const PairLoops kPairLoops = pair::loops_for(FRL_ISA, PairLosses{});
extern const BucketLoops kBucketLoops;
constinit const BucketLoops kBucketLoops{bucket::loops_of<float>(), bucket::loops_of<double>()};
extern const LambdaLoops kLambdaLoops;
constinit const LambdaLoops kLambdaLoops = lambda::make_lambda_loops();
extern const ListwiseLoops kListwiseLoops;
constinit const ListwiseLoops kListwiseLoops = listwise::make_listwise_loops();
extern const TripletKernels kTripletKernels;
constinit const TripletKernels kTripletKernels = triplet::kernels_for(FRL_ISA);
extern const CatalogueLoops kCatalogueLoops;
constinit const CatalogueLoops kCatalogueLoops{catalogue::loops_of<float>(),
                                               catalogue::loops_of<double>()};
