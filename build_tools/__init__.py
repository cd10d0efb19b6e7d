"""What builds fused_rankloss and is not installed with it.

backend       the PEP 517 hooks: setuptools' own, plus the torch of the environment installed into
target_torch  finds that torch, which pip's build isolation hides
cuda_toolkit  finds an nvcc that works, and says which GPUs it compiles for
native        the build_ext command: flags, the CPU-only fallback, the facts build_info() reports
"""
