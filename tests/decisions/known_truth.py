"""Populations whose truth is known, and what plain loops say of thresholds."""

from __future__ import annotations

import torch


class Population:
    """40,000 images of 20 classes; the truth is drawn from probabilities that the scores exaggerate.

    The first guess is right for 61 of 100, as for the emoji of the demo.
    """

    def __init__(self, images: int = 40_000, classes: int = 20, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        width = 0.5 + 5.5 * torch.rand(images, 1, generator=generator, dtype=torch.float64)
        self.truth = (width * torch.randn(images, classes, generator=generator, dtype=torch.float64)).softmax(1)
        self.logits = 1.5 * self.truth.log()
        self.generator = torch.Generator().manual_seed(seed + 1)

    def draw(self, images: int):
        """Scores and classes of some fresh images."""
        rows = torch.randint(len(self.logits), (images,), generator=self.generator)
        return self.logits[rows], torch.multinomial(self.truth[rows], 1, generator=self.generator).flatten()

    def chance_right(self):
        """Probability that the first guess is right, of each image."""
        return self.truth.gather(1, self.logits.argmax(1, keepdim=True)).flatten()

    def chance_among(self, k: int):
        """Probability that the class is among the k best."""
        return self.truth.gather(1, self.logits.topk(k).indices).sum(1)
