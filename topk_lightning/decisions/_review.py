"""A review plan: which pictures a classifier names alone, for which it shows a list, and which a person must see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from topk_lightning._checks import InvalidValueError, must
from topk_lightning._checks.options import check_choice, check_integer
from topk_lightning.decisions._best_k import MOST_NAMES, Costs
from topk_lightning.decisions._binomial import check_inner
from topk_lightning.decisions._confidences import Confidences, as_scores, confidences, confidences_up_to
from topk_lightning.decisions._plan_costs import cheapest_thresholds, mean_cost
from topk_lightning.decisions._promise import nothing_promised, plain_threshold, threshold_of_plain
from topk_lightning.decisions._review_meter import ReviewMeter, seen_of
from topk_lightning.decisions._review_outcome import PILES, ReviewOutcome, outcome_of
from topk_lightning.decisions._thresholds import NOTHING, threshold_among_accepted, threshold_among_all

__all__ = ["ReviewPlan", "review_plan"]


@dataclass(frozen=True)
class ReviewPlan:
    """Where pictures go: thresholds of the confidence, with what they promise; made by :func:`review_plan`.

    Attributes:
        threshold: probability of the first guess from which on it is accepted; infinity: nothing is.
        list_threshold: sum of the probabilities of the k best from which on a list of them is shown; infinity: none is.
        k: names on the list.
        target_error: the promise.
        among: of which pictures it is a share: "all" or "accepted".
        confidence: the probability of the promise.
        images: validation images that it was fitted on.
        num_classes: C.
        costs: what it was told about costs.
    """

    threshold: float
    list_threshold: float
    k: int
    target_error: float
    among: str
    confidence: float
    images: int
    num_classes: int
    costs: Costs | None = None

    def piles(self, scores: Any, *, kind: str = "logits") -> Tensor:
        """Return the pile of each picture (N,): 0 the first guess is accepted, 1 a list is shown, 2 a person sees it.

        A picture with a score that is no number goes to the person.

        Args:
            scores: :class:`topk_lightning.Scores`, or an array (N, C).
            kind: what an array holds: "logits" or "probabilities".

        Raises:
            ValueError: another number of classes than the plan was fitted on.
        """
        given = as_scores(scores, kind=kind)
        self._check_classes(given.num_classes)
        return self._piles(confidences(given, self.k))

    def outcome(self, scores: Any, target: Any = None, *, kind: str = "logits") -> ReviewOutcome:
        """Return what the plan comes to on images whose class is known, such as those of a test.

        Args:
            scores: :class:`topk_lightning.Scores`, :class:`topk_lightning.decisions.ReviewMeter`, or an array (N, C).
            target: class of each image, beside an array.
            kind: what an array holds.
        """
        seen, _, num_classes = seen_of(scores, target, kind, self.k, "the outcome of a review plan")
        self._check_classes(num_classes)
        return outcome_of(self._piles(seen), seen.wrong, seen.missed(self.k))

    @property
    def promise(self) -> str:
        """What is promised, in one sentence; or why nothing can be."""
        share, sure = f"{100 * self.target_error:g} %", f"{100 * self.confidence:g} %"
        if self.threshold == NOTHING:
            why = nothing_promised("errors", self.target_error, self.confidence, self.images)
            return f"{why} A person must see every picture that no list is shown for."
        of = "all pictures are accepted and wrong" if self.among == "all" else "the accepted pictures are wrong"
        return (
            f"With {sure} confidence at most {share} of {of}, on pictures like the {self.images:,} of the validation."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that JSON has a form for; infinity is null."""
        values = asdict(self)
        for name in ("threshold", "list_threshold"):
            values[name] = plain_threshold(values[name])
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ReviewPlan:
        """Return the plan of :meth:`to_dict`.

        Raises:
            ValueError: something else.
        """
        given = dict(values)
        try:
            for name in ("threshold", "list_threshold"):
                given[name] = threshold_of_plain(name, given[name])
            for name in ("k", "images", "num_classes"):
                check_integer(name, given[name], minimum=0)
            for name in ("target_error", "confidence"):
                check_inner(name, given[name])
            check_choice("among", given["among"], ("all", "accepted"))
            given["costs"] = None if given.get("costs") is None else Costs(**given["costs"])
            return cls(**given)
        except (KeyError, TypeError) as error:
            wanted = "hold the values of ReviewPlan.to_dict"
            raise InvalidValueError(must("the review plan", wanted, ", ".join(map(repr, values)) or "none")) from error

    def _check_classes(self, num_classes: int) -> None:
        if num_classes != self.num_classes:
            wanted = f"have the {self.num_classes} classes that the plan was fitted on"
            raise InvalidValueError(must("scores", wanted, num_classes))

    def _piles(self, seen: Confidences) -> Tensor:
        piles = torch.full(seen.first.shape, PILES.index("person"))
        piles[seen.best >= self.list_threshold] = PILES.index("list")
        piles[seen.first >= self.threshold] = PILES.index("accept")
        return piles


def review_plan(
    scores: Any,
    target: Any = None,
    *,
    target_error: float = 0.05,
    among: str = "all",
    confidence: float = 0.95,
    k: int | None = None,
    costs: Costs | Mapping[str, float] | None = None,
    kind: str = "logits",
) -> ReviewPlan:
    r"""Return which pictures need a person, with a promise about the errors that holds on fresh pictures of the same kind.

    A picture whose first guess has at least the probability `threshold` is accepted. Of the others those whose k best have
    together at least the probability `list_threshold` get a list of k names, the rest goes to a person. Both thresholds
    are the lowest that keep the promise with probability `confidence`, over the images that were drawn for the fit:

    - ``among="all"``: accepted and wrong are at most `target_error` of **all** pictures. This share only grows as the
      threshold falls, so one bound of Clopper and Pearson is enough: the threshold is the lowest with at most e errors
      among the n validation images, :math:`P(\mathrm{Bin}(n, \text{target\_error}) \le e) \le 1 - \text{confidence}`.
    - ``among="accepted"``: wrong are at most `target_error` of the **accepted** pictures. Fixed thresholds are tested from
      strict to lax, each by this bound on what it accepts, up to the first that fails. On few images nothing passes.

    The list keeps the same promise in the same sense: pictures that get a list or are accepted, and whose class is not
    among the k best. Each of the two promises holds with `confidence` on its own.

    The scores must be of images that neither trained the model nor are the test. From another camera, season or vendor the
    promise does not carry over.

    Shape:
        scores (N, C), target (N,).

    Args:
        scores: :class:`topk_lightning.Scores` of validation images, a :class:`topk_lightning.decisions.ReviewMeter` that has
            seen them, or an array (N, C) beside `target`.
        target: class of each image, beside an array.
        target_error: the share of errors that is promised, in (0, 1).
        among: "all" or "accepted".
        confidence: the probability of the promise, in (0, 1).
        k: names on a list, 1 ≤ k ≤ C; None: 5, or with `costs` what makes the cheapest plan, up to 20; at most C.
        costs: what an error, a person and a name to read cost, as :class:`Costs` or a dict of its arguments: the plan is then
            the cheapest among those that keep the promise.
        kind: what an array holds: "logits" or "probabilities".

    Returns:
        The plan. On too few images its threshold is infinity, and :attr:`ReviewPlan.promise` says how many it takes.

    Raises:
        TypeError: scores of no numbers.
        ValueError: no target, shapes that do not match, an option out of range.

    Examples:
        200 images; of the surer half all are right, of the others half.

        >>> import torch
        >>> logits = torch.tensor([[5.0, 0.0, 0.0], [1.0, 0.0, 0.0]]).repeat_interleave(100, dim=0)
        >>> target = torch.tensor([0] * 150 + [1] * 50)
        >>> plan = review_plan(logits, target, k=2)
        >>> round(plan.threshold, 3)
        0.987
        >>> plan.piles(logits).bincount().tolist()
        [100, 100]
        >>> plan.promise
        'With 95 % confidence at most 5 % of all pictures are accepted and wrong, on pictures
        like the 200 of the validation.'

    Source: Clopper and Pearson (1934); Angelopoulos, Bates, Candès, Jordan and Lei, Learn then Test (2021), section 3.1;
    selective prediction: Geifman and El-Yaniv (2017), who search with a bound for each threshold.
    """
    check_inner("target_error", target_error)
    check_inner("confidence", confidence)
    check_choice("among", among, ("all", "accepted"))
    asked = Costs.of(costs)
    fit = threshold_among_all if among == "all" else threshold_among_accepted
    tried = [seen_of(scores, target, kind, k, "a review plan")]
    if k is None and asked is not None and not isinstance(scores, ReviewMeter):
        given, num_classes = as_scores(scores, target, kind), tried[0][2]
        every = confidences_up_to(given, min(MOST_NAMES, num_classes))
        tried = [(seen, number, num_classes) for number, seen in enumerate(every, 1)]
    plans = []
    for seen, number, _ in tried:
        threshold = fit(seen.first, seen.wrong, target_error, confidence)
        # A k that the same images choose costs some of the confidence.
        lists = fit(seen.best, seen.missed(number), target_error, 1 - (1 - confidence) / len(tried))
        if asked is None:
            plans.append((0.0, number, threshold, lists))
        else:
            threshold, lists = cheapest_thresholds(seen, number, threshold, lists, asked)
            plans.append((mean_cost(seen, number, threshold, lists, asked), number, threshold, lists))
    _, k, threshold, lists = min(plans)
    seen, _, num_classes = tried[0]
    images = len(seen.first)
    return ReviewPlan(threshold, lists, k, float(target_error), among, float(confidence), images, num_classes, asked)
