"""Named measurements as vectors a network understands; what is not asked for has a learned vector of its own."""

import torch
import torch.nn.functional as F  # noqa: N812 the name every torch user expects
from torch import Tensor, nn


class MeasurementEmbedding(nn.Module):
    """One token per measurement.

    A value enters as it is, scaled so that the trained range is 0 to 1: beyond it the answer goes on along a straight
    line instead of repeating, as waves of the value would.

    Args:
        count: number of measurements.
        width: length of a token.
        hidden: width of the layer between.
    """

    def __init__(self, count: int, width: int, hidden: int = 64) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(count, hidden) * 2)
        self.first_bias = nn.Parameter(torch.randn(count, hidden))
        self.second = nn.Parameter(torch.randn(count, hidden, width) / hidden**0.5)
        self.second_bias = nn.Parameter(torch.zeros(count, width))
        self.missing = nn.Parameter(torch.randn(count, width) * 0.5)

    def forward(self, values: Tensor, known: Tensor) -> Tensor:
        """Tokens, (B, count, width).

        Args:
            values: (B, count), anything where not known.
            known: (B, count) bool.
        """
        shown = torch.where(known, values, 0.0)
        h = F.silu(shown[..., None] * self.first + self.first_bias)
        tokens = torch.einsum("bnh,nhw->bnw", h, self.second) + self.second_bias
        return torch.where(known[..., None], tokens, self.missing)
