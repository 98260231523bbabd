"""All findings of a test, the most serious first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from topk_lightning._checks import InvalidTypeError, must
from topk_lightning.data import Leak, Leaks
from topk_lightning.findings._evidence import Evidence, check_accuracy, counts_of, groups_of, images_to_judge
from topk_lightning.findings._finding import SEVERITIES, Finding
from topk_lightning.findings.wrong_labels import SuspectLabel
from topk_lightning.hierarchy import Hierarchy
from topk_lightning.metrics import ClassReport

__all__ = ["findings"]


def findings(
    report: ClassReport,
    *,
    train_accuracy: float | Tensor | None = None,
    val_accuracy: float | Tensor | None = None,
    leaks: Leaks | Sequence[Leak] | None = None,
    groups: Hierarchy
    | Sequence[int]
    | Sequence[str]
    | Mapping[str, str]
    | Mapping[int, int]
    | str
    | Path
    | None = None,
    trained_on: int = 0,
    unreadable: Sequence[str] = (),
    are_probabilities: bool = False,
    suspects: Sequence[SuspectLabel] = (),
    level: float = 0.95,
    min_images: int | None = None,
    **thresholds: float,
) -> list[Finding]:
    """Return what is worth a sentence about a test, the most serious first.

    A class with at least `min_images` images is judged by itself, the others together with those of their group.
    A recall is low if its whole interval is below `low_recall` and below the accuracy; the level of the interval is
    shared among all that are judged (Bonferroni), so that many classes make no finding by chance.

    Every subclass of :class:`Finding` is asked, also one of your own.

    Under DDP it gathers the counts of all processes, so all must call it.

    Args:
        report: the counts of the test.
        train_accuracy: top-1 accuracy on the training images, for overfitting.
        val_accuracy: top-1 accuracy on validation images to hold against it; by default that of the report.
        leaks: what :func:`topk_lightning.data.find_leaks` returned.
        groups: the group of each class: names or indices in the order of the classes, {class: group}, or anything
            :meth:`topk_lightning.Hierarchy.of` takes.
        trained_on: how many of the test images were trained on.
        unreadable: names of images that could not be read.
        are_probabilities: whether the scores of all images are such as a softmax returns, though logits are expected.
        suspects: images whose labels look wrong, the least probable label first.
        level: the probability in (0, 1) of the intervals.
        min_images: by default 6, from which on the 95 % interval of a faultless class clears 0.60.
        **thresholds: the numbers of the rules, fractions in [0, 1], under the names that the findings give them in
            their `thresholds`, such as ``overfitting_gap=0.05``.

    Raises:
        TypeError: if an argument is of the wrong type, or no finding has such a threshold.
        ValueError: if nothing was seen, or an argument is out of range.

    Examples:
        >>> import torch
        >>> report = ClassReport(2, k=1, class_names=["cat", "dog"])
        >>> always_dog = torch.tensor([[0.0, 1.0]]).expand(100, 2)
        >>> report.update(always_dog, torch.tensor([0] * 8 + [1] * 92))
        >>> for finding in findings(report):
        ...     print(f"{finding.severity}: {finding.sentence}")
        serious: The accuracy is 92 %, but it hides what is recognised far less often: "cat"
        0 % (0 of 8 images).
        serious: Never predicted, not even once: "cat" (8 images).
    """
    rules = Finding.__subclasses__()  # those that the package imports, and those of the user
    known = {name: default for rule in rules for name, default in rule.thresholds.items()}
    for name in thresholds:
        if name not in known:
            raise InvalidTypeError(must("a threshold", f"be one of {', '.join(known)}", name))
    thresholds = {**known, **thresholds}
    evidence = Evidence(
        counts_of(report),
        report.distinct_names,
        # At k = C every miss is a near miss, which says nothing.
        max((k for k in report.k if k < report.num_classes), default=1),
        level,
        images_to_judge(thresholds["low_recall"], level) if min_images is None else min_images,
        thresholds,
        None if groups is None else groups_of(groups, report.class_names),
        check_accuracy("train_accuracy", train_accuracy),
        check_accuracy("val_accuracy", val_accuracy),
        leaks or (),
        trained_on,
        unreadable,
        are_probabilities,
        suspects,
    )
    findings_of_rules = [finding for rule in rules for finding in rule.find(evidence)]
    return sorted(findings_of_rules, key=lambda finding: SEVERITIES.index(finding.severity))
