"""The error for a metric that was given where a loss belongs."""

from __future__ import annotations

from topk_lightning._checks import must

__all__ = ["metric_as_loss"]


def metric_as_loss(metric: str) -> TypeError:
    """Return the error that says why a metric has no gradient and what to use instead."""
    return TypeError(
        must(
            "loss",
            "be differentiable",
            f"{metric}, which counts hits: a count does not change with a small step of the logits, so it has no "
            "gradient",
            "Train with torch.nn.CrossEntropyLoss or topk_lightning.SmoothTopKSVMLoss and keep the metric to measure.",
        )
    )
