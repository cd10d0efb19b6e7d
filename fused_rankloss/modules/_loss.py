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
        return ", ".join(f"{key}={value!r}" for key, value in self._described().items())

    def _described(self) -> dict[str, object]:
        margin = tuple(self.margin.shape) if isinstance(self.margin, Tensor) else self.margin
        return {"margin": margin, **self._options}
