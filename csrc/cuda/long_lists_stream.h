// SPDX-License-Identifier: BSD-3-Clause
//
// The stream that the plans of long lists run on.
#pragma once

#include "cuda/launch.h"
#include "cuda/policy.h"
#include "cuda/radix_sort.h"

namespace fused_rankloss {

// The Device of the plans.
class LongListsStream {
 public:
  explicit LongListsStream(const LaunchScope& scope) : scope_(scope) {}

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

// The workspace that its sorts of so many slots need, by score and by list.
template <typename Key>
int64_t sort_bytes(const Lists& lists) {
  size_t bytes = radix_sort_bytes<Key>(lists.num_slots);
  if (lists.num_lists > 1) bytes = std::max(bytes, radix_sort_bytes<uint32_t>(lists.num_slots));
  return static_cast<int64_t>(bytes);
}

}  // namespace fused_rankloss
