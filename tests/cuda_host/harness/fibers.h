// SPDX-License-Identifier: BSD-3-Clause
//
// Fibers for the host harness: one for each CUDA thread of a block, all on one thread of the host.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <cstddef>
#include <memory>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace cuda_host {

// A stack and the place where its code stands.
class Fiber {
 public:
  static constexpr std::size_t kStackBytes = 128 * 1024;

  // Makes the fiber call `entry` when it is next switched to. `entry` must not return.
  void prepare(void (*entry)()) {
    if (!stack_) stack_.reset(new std::byte[kStackBytes]);
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack_.get();
    context_.uc_stack.ss_size = kStackBytes;
    context_.uc_link = nullptr;
    makecontext(&context_, entry, 0);
    fresh_ = true;
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(stack_.get(), kStackBytes);  // frames that were never left
    fake_stack_ = nullptr;
#endif
  }

#ifdef __SANITIZE_ADDRESS__
  // AddressSanitizer must hear of every change of stacks.
  static void switch_to(Fiber& from, Fiber& to) {
    const Extent& extent = to.stack_ ? Extent{to.stack_.get(), kStackBytes} : host_stack();
    __sanitizer_start_switch_fiber(&from.fake_stack_, extent.bottom, extent.size);
    swapcontext(&from.context_, &to.context_);
    __sanitizer_finish_switch_fiber(from.fake_stack_, nullptr, nullptr);
  }

  // The first thing that the entry of a fiber calls.
  void arrived() {
    Extent from;
    __sanitizer_finish_switch_fiber(nullptr, &from.bottom, &from.size);
    host_stack() = from;  // only the host switches to a fresh fiber
  }
#else
  // Jumps change no signal mask, which spares two system calls a switch.
  static void switch_to(Fiber& from, Fiber& to) {
    if (_setjmp(from.position_) != 0) return;
    if (!to.fresh_) _longjmp(to.position_, 1);
    to.fresh_ = false;
    setcontext(&to.context_);
  }

  void arrived() {}
#endif

 private:
  ucontext_t context_{};
  std::unique_ptr<std::byte[]> stack_;  // null for the host's own
  bool fresh_ = false;

#ifdef __SANITIZE_ADDRESS__
  struct Extent {
    const void* bottom = nullptr;
    std::size_t size = 0;
  };
  static Extent& host_stack() {
    static Extent extent;
    return extent;
  }
  void* fake_stack_ = nullptr;
#else
  jmp_buf position_{};
#endif
};

}  // namespace cuda_host
