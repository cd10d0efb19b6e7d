"""Time and memory of the losses beside what people write today: ``python -m benchmarks --help``.

losses     the losses, one row each
cases      what is measured: loss x shape x data x dtype x mode, and the presets
data       the tensors of a case
baselines  what is compared with, as plain functions
providers  who runs a case: the package and the baselines, and when each one can
exact      the answer in float64, which every provider must give before it is timed
timing     interleaved samples, their quantiles
memory     peak memory, in a process of its own
results    the CSV: one row per measurement
goals      the ratios to reach
plot       figures from the CSV
run        puts these together
"""
