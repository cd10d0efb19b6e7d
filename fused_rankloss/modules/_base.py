"""What the modules of all families share."""

from __future__ import annotations

from torch import Tensor, nn


class Loss(nn.Module):
    """Holds a loss function's options; a margin that is a parameter is registered as one."""

    def __init__(self, function, **options) -> None:
        super().__init__()
        self._function = function
        margin = options.pop("margin")
        if isinstance(margin, Tensor) and not isinstance(margin, nn.Parameter):
            self.register_buffer("margin", margin)
        else:
            self.margin = margin
        self._options = options

    def extra_repr(self) -> str:
        return shown({"margin": self.margin, **self._options})


class ConstantLoss(nn.Module):
    """Holds a loss function's options; tensors among them, but parameters, are its buffers."""

    def __init__(self, function, **options) -> None:
        super().__init__()
        self._function = function
        self._names = tuple(options)
        for name, value in options.items():
            if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)

    def _options(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self._names}

    def extra_repr(self) -> str:
        return shown(self._options())


def shown(options: dict[str, object]) -> str:
    """Options as a module's repr has them: of tensors the shape."""
    return ", ".join(
        f"{name}={tuple(value.shape) if isinstance(value, Tensor) else value!r}"
        for name, value in options.items()
    )


class ListLoss(ConstantLoss):
    """A loss over a batch of lists of scores and labels."""

    def forward(
        self,
        scores: Tensor,
        labels: Tensor,
        *,
        mask: Tensor | None = None,
        lengths: Tensor | None = None,
        offsets: Tensor | None = None,
        weights: Tensor | None = None,
        list_weights: Tensor | None = None,
    ):
        """The loss of a batch of lists; arguments as in the function of the same name."""
        lists = {
            **{"mask": mask, "lengths": lengths, "offsets": offsets},
            **{"weights": weights, "list_weights": list_weights},
        }
        return self._function(scores, labels, **lists, **self._options())


class GainListLoss(ConstantLoss):
    """A loss over a batch of lists whose items may have gains of their own."""

    def forward(
        self,
        scores: Tensor,
        labels: Tensor,
        *,
        gains: Tensor | None = None,
        mask: Tensor | None = None,
        lengths: Tensor | None = None,
        offsets: Tensor | None = None,
        weights: Tensor | None = None,
        list_weights: Tensor | None = None,
    ):
        """The loss of a batch of lists; arguments as in the function of the same name."""
        lists = {
            **{"mask": mask, "lengths": lengths, "offsets": offsets},
            **{"weights": weights, "list_weights": list_weights},
        }
        return self._function(scores, labels, gains=gains, **lists, **self._options())
