// SPDX-License-Identifier: BSD-3-Clause
//
// The kernels of long lists on a stream.
#include <algorithm>

#include "cuda/cooperative_launch.h"
#include "cuda/long_lists.h"
#include "cuda/long_lists_plan.cuh"
#include "cuda/radix_sort.h"

namespace fused_rankloss {
namespace {

// The Device of LongListsPlan::run.
class Stream {
 public:
  explicit Stream(const LaunchScope& scope) : scope_(scope) {}

  void zero(void* memory, int64_t bytes) {
    check_cuda(cudaMemsetAsync(memory, 0, bytes, scope_.stream()), scope_.op());
  }

  template <typename... Parameters, typename... Arguments>
  void launch(void (*kernel)(Parameters...), int64_t blocks, const Arguments&... arguments) {
    kernel<<<scope_.grid(blocks), kScanThreads, 0, scope_.stream()>>>(arguments...);
    scope_.check_launch();
  }

  template <typename Parameter>
  void launch_together(void (*kernel)(Parameter), int64_t most_blocks,
                       const std::remove_cv_t<Parameter>& argument) {
    launch_cooperative(scope_, kernel, most_blocks, kScanThreads, argument);
  }

  template <typename Key>
  int sort(void* workspace, int64_t bytes, const SortBuffers<Key>& buffers, int64_t size,
           int end_bit) {
    int sorted = 0;
    check_cuda(radix_sort(workspace, static_cast<size_t>(bytes), buffers, size, end_bit,
                          scope_.stream(), sorted),
               scope_.op());
    return sorted;
  }

 private:
  const LaunchScope& scope_;
};

// Calls `body` with the plan for a call.
template <typename Body>
void with_plan(const PairwiseArgs& args, const std::string& loss_name, Body&& body) {
  dispatch_long_term(args, loss_name, [&]<class Term>() {
    const int64_t size = args.lists.num_slots;
    size_t sort_bytes = radix_sort_bytes<ScoreKey<typename Term::Real>>(size);
    if (args.lists.num_lists > 1) {
      sort_bytes = std::max(sort_bytes, radix_sort_bytes<uint32_t>(size));
    }
    body(LongListsPlan<Term>(args, static_cast<int64_t>(sort_bytes)));
  });
}

}  // namespace

int64_t long_lists_bytes(const PairwiseArgs& args, const std::string& loss_name,
                         const LaunchScope& scope) {
  check(args.lists.num_slots <= kMostLongSlots, scope.op(), ": expected at most ", kMostLongSlots,
        " scores in a call with long lists, got ", args.lists.num_slots);
  int64_t bytes = 0;
  with_plan(args, loss_name, [&](const auto& plan) { bytes = plan.workspace_bytes(); });
  return bytes;
}

void launch_long_lists(const PairwiseArgs& args, const std::string& loss_name,
                       const ListPartials& partials, void* workspace, const LaunchScope& scope) {
  with_plan(args, loss_name, [&](const auto& plan) {
    Stream stream(scope);
    plan.run(stream, workspace, partials);
  });
}

}  // namespace fused_rankloss
