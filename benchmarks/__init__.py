"""Time and memory of the losses beside what people write today: ``python -m benchmarks --help``.

family      what a family of losses brings: cases, batches, providers, an exact answer
families    the families, one row each, in folders of their own:
            lists of scores, learning to rank, embeddings, and catalogues
timing      interleaved samples, their quantiles
memory      peak memory, in a process of its own
results     the CSV: one row per measurement
goals       the ratios to reach
plot        figures from the CSV
run         puts these together: draw the data, check every provider, time those that agree
gpu_check   everything a CUDA machine can show, in one command
"""
