"""One autograd.Function per op: what to save for the backward pass, and nothing else."""

from fused_rankloss.autograd.pairwise import Pairwise
from fused_rankloss.autograd.triplet import BatchTriplet, Triplet

__all__ = ["BatchTriplet", "Pairwise", "Triplet"]
