"""Prediction sets: as few names as possible, the right one among them as often as was promised."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.class_names import check_class_names, distinct_names
from topk_lightning._topk_prediction import TopKPrediction
from topk_lightning.decisions._conformal_scores import has_softmax
from topk_lightning.decisions._fitted_scores import FittedScores
from topk_lightning.decisions._fitted_sets import FittedSets
from topk_lightning.decisions._quantile import fewest_images
from topk_lightning.decisions._rows import ScoreRows
from topk_lightning.decisions._set_options import SetOptions, log_shares
from topk_lightning.ranking import topk_indices
from topk_lightning.scores import ScoreBlock, Scores

__all__ = ["PredictionSets"]


class PredictionSets(FittedSets):
    r"""Show as few classes as possible, the right one among them with a probability that is promised.

    Split conformal prediction. A rule gives each class y of an image a score s(y), the lower the likelier;
    :meth:`fit` looks at the scores of the right classes of n validation images, and an image is shown

    .. math:: \{y : s(y) \le q\}, \quad q = \text{the } \lceil (n + 1)\, c \rceil\text{-th smallest of the } n \text{ scores}

    Of new images like those, at least a share c has its right class in its set, whatever the network is; without ties
    exactly ⌈(n + 1) c⌉/(n + 1) on average. It holds for the average over images and over fits, not for each class, and
    not where new images are of another kind: see :meth:`fit`.

    The rules, in float64, with p = softmax(s / temperature) and "ahead" by the order rule:

    - "lac": −log p(y). The smallest sets on average; an image of which nothing is likely gets few names.
    - "aps": the probability of the classes ahead of y, y's own not counted. Larger sets where the network is unsure.
    - "raps": the same + penalty · max(0, rank − k), where rank is the number of classes ahead. No very large sets.
    - "rank": the rank: the same number of classes for each image.

    Args:
        method: one of these.
        coverage: c in (0, 1).
        temperature: > 0, by which logits are divided before the softmax; it is kept with the fit.
        by: None: one threshold; "class": one for each class, so that each is covered; "group": one for each group of images,
            said at fit and at use; or the group of each class (C,). A class or group with fewer than ⌈1/(1 − c)⌉ − 1 images
            uses the common threshold: :attr:`too_few`.
        prevalence: how frequent each class is (C,), as in training, or "fit": as at fit, where the promise then is close
            and no longer exact. "lac" then scores −log(p(y) / share of y), which covers rare classes better ("macro") at
            the same promise; one image is added to each class.
        penalty: of "raps", ≥ 0.
        k: of "raps", how many classes may stand ahead without a penalty, ≥ 0.
        randomised: "aps" and "raps" count the mass up to and with y, less u · p(y), one uniform u a row: exact coverage and
            empty sets at random.
        allow_empty: leave a set empty where nothing has a score as low as q; else it becomes the first guess.

    Raises:
        TypeError: an option of another type.
        ValueError: an option out of range, or one that the method does not have.

    Source:
        LAC: Sadinle, Lei and Wasserman, JASA 2019. APS: Romano, Sesia and Candès, NeurIPS 2020, who count y's own mass.
        RAPS: Angelopoulos et al., ICLR 2021, whose rank begins with 1. Prevalence: Ding, Fermanian and Salmon, 2025.

    Examples:
        >>> p = torch.tensor([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.6, 0.1, 0.3], [0.1, 0.1, 0.8]])
        >>> sets = PredictionSets(coverage=0.8).fit(p, torch.tensor([0, 0, 2, 2]), kind="probabilities")
        >>> # All with at least the 0.3 of the third.
        >>> sets.mask(torch.tensor([[0.5, 0.4, 0.1]]), kind="probabilities")
        tensor([[ True,  True, False]])
        >>> named = sets.predict(
        ...     torch.tensor([[0.5, 0.4, 0.1]]), ["ant", "bee", "cat"], kind="probabilities"
        ... )
        >>> [[each.label for each in row] for row in named]
        [['ant', 'bee']]
    """

    def __init__(
        self,
        method: str = "lac",
        coverage: float = 0.9,
        *,
        temperature: float = 1.0,
        by: str | Sequence[int] | None = None,
        prevalence: str | Sequence[float] | Tensor | None = None,
        penalty: float = 0.01,
        k: int = 5,
        randomised: bool = False,
        allow_empty: bool = False,
    ) -> None:
        options = SetOptions(method, coverage, temperature, by, prevalence, penalty, k, randomised, allow_empty)
        super().__init__(options.checked())

    def fit(
        self,
        scores: Tensor | Scores,
        target: Tensor | None = None,
        *,
        kind: str = "logits",
        group: Sequence[Any] | Tensor | None = None,
        sample_weight: Tensor | None = None,
        class_names: Sequence[str] | Mapping[Any, Any] | None = None,
        generator: torch.Generator | None = None,
    ) -> PredictionSets:
        """Find the threshold on validation images, and return the sets themselves.

        They must be images that the network was not trained on, drawn like those to come: of another camera, season or
        vendor the promise does not hold. A row with a NaN counts as never covered. Fewer than ⌈1/(1 − c)⌉ − 1 images (4, 9
        and 19 for 80, 90 and 95 %) allow no threshold: all names are shown, and a warning says so.

        Args:
            scores: (N, C), or stored scores, which bring their target, kind, names and weights with them.
            target: class indices (N,), or right classes as 0 and 1 (N, C), of which one is enough.
            kind: "logits" or "probabilities".
            group: of each image (N,), numbers or texts, for ``by="group"``.
            sample_weight: how much likelier such an image is at use than here, (N,), a new image counting 1.
            class_names: of the classes, to be held against those at use.
            generator: of u, for randomised sets.

        Raises:
            TypeError: a wrong dtype, or distributions over classes as the target.
            ValueError: shapes that do not belong together, no row, a label out of range, probabilities said to be logits.
        """
        rows = ScoreRows(scores, target, sample_weight, kind)
        if not len(rows):
            raise InvalidValueError(must("scores", "hold at least one row", "none"))
        label, names = rows.labels(), rows.class_names if class_names is None else class_names
        keys = self.keys_at_fit(label, group, rows.num_classes)
        rule = self.options.rule(log_shares(self.options.prevalence, label, rows.num_classes))
        uniform = self.uniform(len(rows), generator)
        parts = [
            rule.of_targets(block.values, block.logits, label[part], None if uniform is None else uniform[part])
            for part, block in rows.blocks()
        ]
        self._fitted = FittedScores.of(
            torch.cat(parts),
            weight=rows.weight,
            **keys,
            num_classes=rows.num_classes,
            class_names=None if names is None else check_class_names(names, rows.num_classes),
            log_prevalence=rule.log_prevalence,
        )
        self._thresholds = None
        least = fewest_images(self.coverage)
        if self.images < least:
            wanted = f"hold at least {least} images for a coverage of {self.coverage:g}"
            warnings.warn(must("scores", wanted, self.images, "All names are shown."), stacklevel=2)
        return self

    def mask(
        self,
        scores: Tensor | Scores,
        *,
        kind: str = "logits",
        group: Sequence[Any] | Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return which classes each image is shown (N, C), bool; none where its scores have a NaN or no finite maximum.

        Args:
            scores: as at fit, of the same classes.
            kind: as at fit; stored scores say it themselves.
            group: of each image, for ``by="group"``; one that was not there at fit uses the common threshold.
            generator: of u, for randomised sets.

        Raises:
            ValueError: no fit, other classes than those of the fit.
        """
        rows = ScoreRows(scores, kind=kind)
        masks = [mask for _, mask, _ in self.masks(rows, group=group, generator=generator)]
        return torch.cat(masks) if masks else torch.empty(0, rows.num_classes, dtype=torch.bool)

    def masks(
        self, rows: ScoreRows, *, group: Sequence[Any] | Tensor | None = None, generator: torch.Generator | None = None
    ) -> Iterator[tuple[ScoreBlock, Tensor, int]]:
        """Yield some rows at a time with their mask, and how many of them were empty and became the first guess."""
        fitted, thresholds = self.checked_fit(rows), self.thresholds
        rule, uniform = self.options.rule(fitted.log_prevalence), self.uniform(len(rows), generator)
        keys, of_class = self.keys_at_use(group, len(rows)), self.options.key_of_class(fitted.num_classes)
        for part, block in rows.blocks():
            nonconformity = rule.of_classes(block.values, block.logits, None if uniform is None else uniform[part])
            mask = nonconformity <= thresholds.of(of_class, None if keys is None else keys[part], nonconformity.device)
            filled = 0
            if not self.options.allow_empty:
                empty = ~mask.any(1) & has_softmax(block.logits)
                mask[empty] = mask[empty].scatter(1, topk_indices(block.values[empty], 1), True)
                filled = int(empty.sum())
            yield block, mask, filled

    def predict(
        self,
        scores: Tensor | Scores,
        class_names: Sequence[str] | Mapping[Any, Any] | None = None,
        *,
        kind: str = "logits",
        group: Sequence[Any] | Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> list[tuple[TopKPrediction, ...]]:
        """Return the classes that each image is shown, best first, with their probabilities at the fit's temperature.

        Args:
            scores: as in :meth:`mask`.
            class_names: of the classes; None: those of stored scores or of the fit, or the indices as text.
            kind: as in :meth:`mask`.
            group: as there.
            generator: as there.
        """
        rows, answers = ScoreRows(scores, kind=kind), list[tuple[TopKPrediction, ...]]()
        given = rows.class_names if class_names is None else class_names
        given = self.fitted.class_names if given is None else given
        names = None if given is None else distinct_names(check_class_names(given, rows.num_classes))
        for block, mask, _ in self.masks(rows, group=group, generator=generator):
            p = (block.logits.double() / self.temperature).softmax(1).tolist()
            best = topk_indices(block.values, rows.num_classes)
            for row, order, is_shown in zip(p, best, mask, strict=True):
                indices = order[is_shown[order]].tolist()
                answers.append(tuple(TopKPrediction(names[i] if names else str(i), i, row[i]) for i in indices))
        return answers
