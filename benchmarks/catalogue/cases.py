"""What is measured. A case is data: adding one is adding a row."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from benchmarks.family import Case

TITLES = {
    "catalogue_hinge": "Hinge over a catalogue",
    "catalogue_squared_hinge": "Squared hinge over a catalogue",
    "catalogue_logistic": "Logistic loss over a catalogue",
    "catalogue_warp": "WARP with exact ranks",
    "catalogue_softmax": "Softmax over a catalogue",
}
MAIN_LOSS = "catalogue_hinge"
_WARM_UP_ITEMS = 1000


@dataclass(frozen=True)
class CatalogueCase(Case):
    queries: int
    items: int
    dim: int
    positives: int = 20  # per query
    loss: str = field(default=MAIN_LOSS, kw_only=True)

    @property
    def shape(self) -> str:
        return f"{self.queries}x{self.items}x{self.dim}"

    def warm_up(self) -> CatalogueCase:
        return replace(self, items=min(self.items, _WARM_UP_ITEMS))


CASES = (
    *(CatalogueCase(64, 20_000, 64, loss=loss, preset="quick") for loss in TITLES),
    *(CatalogueCase(256, 100_000, 64, loss=loss) for loss in TITLES),
    CatalogueCase(256, 100_000, 64, 1, loss="catalogue_softmax", data="1 positive"),
    CatalogueCase(1024, 1_000_000, 64, 4, preset="full"),
)

# For pytest-benchmark: every path, in seconds.
SMALL_CASES = tuple(
    CatalogueCase(8, 300, 16, 4, loss=loss, mode=mode)
    for loss in TITLES
    for mode in ("forward", "full")
)
