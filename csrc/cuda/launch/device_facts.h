// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

namespace fused_rankloss::cuda {

// What never changes about a device, asked of the driver once a process: answers take it up to as
// long as a launch.
template <typename Question>
class DeviceFacts {
 public:
  // The answer to a question about a device: ask()'s, the first time.
  template <typename Ask>
  int64_t get(Question question, int device, Ask&& ask) {
    const std::lock_guard lock(mutex_);
    const std::pair<Question, int> key(question, device);
    const auto found = answers_.find(key);
    if (found != answers_.end()) return found->second;
    const int64_t answer = ask();
    answers_.emplace(key, answer);
    return answer;
  }

 private:
  std::mutex mutex_;
  std::map<std::pair<Question, int>, int64_t> answers_;
};

}  // namespace fused_rankloss::cuda
