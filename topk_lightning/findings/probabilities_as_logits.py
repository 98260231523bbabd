"""Outputs that are probabilities already, though logits are expected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from topk_lightning.findings._evidence import Evidence
from topk_lightning.findings._finding import Finding

__all__ = ["ProbabilitiesAsLogits"]


@dataclass(frozen=True)
class ProbabilitiesAsLogits(Finding):
    """Outputs of a network that ends in a softmax: their order is right, but a second softmax flattens them."""

    severity = "serious"

    @classmethod
    def find(cls, evidence: Evidence) -> Iterator[Finding]:
        """Yield the finding where the scores of all images were such."""
        if evidence.are_probabilities:
            yield cls()

    @property
    def sentence(self) -> str:
        """The finding in plain English."""
        return (
            "The network returns probabilities where logits are expected, so a softmax is applied twice: accuracies and "
            "ranks are right, but loss, confidence and calibration are not. Leave the softmax at its end out."
        )
