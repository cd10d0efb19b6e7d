// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

namespace fused_rankloss::cuda {

// Per-process cache of device attributes, which never change: a driver query can cost as much as a
// launch.
template <typename Attribute>
class DeviceAttributes {
 public:
  // The value of an attribute of a device. Calls query() the first time only.
  template <typename Query>
  int64_t get(Attribute attribute, int device, Query&& query) {
    const std::lock_guard lock(mutex_);
    const std::pair<Attribute, int> key(attribute, device);
    const auto found = values_.find(key);
    if (found != values_.end()) return found->second;
    const int64_t value = query();
    values_.emplace(key, value);
    return value;
  }

 private:
  std::mutex mutex_;
  std::map<std::pair<Attribute, int>, int64_t> values_;
};

}  // namespace fused_rankloss::cuda
