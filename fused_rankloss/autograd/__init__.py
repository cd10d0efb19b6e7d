"""One autograd.Function per op: what to save for the backward pass, and nothing else."""

from fused_rankloss.autograd.catalogue import Catalogue
from fused_rankloss.autograd.lambda_loss import Lambda
from fused_rankloss.autograd.listwise import Listwise
from fused_rankloss.autograd.pairwise import Pairwise
from fused_rankloss.autograd.triplet import BatchTriplet, Triplet

__all__ = ["BatchTriplet", "Catalogue", "Lambda", "Listwise", "Pairwise", "Triplet"]
