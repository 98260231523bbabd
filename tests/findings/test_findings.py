"""Findings: when each is made, when chance alone would explain it, and what it says."""

from __future__ import annotations

import math
import pickle

import pytest
import torch

from tests.metrics.reports import ANIMALS, report_of, sure_batch
from topk_lightning.data import Leak, Leaks
from topk_lightning.findings import (
    AccuracyParadox,
    ConfusesNeighbours,
    DominantClass,
    Leakage,
    LowRecall,
    NanScores,
    NeverPredicted,
    NotLearned,
    Overfitting,
    TooFewImages,
    findings,
)
from topk_lightning.findings._evidence import images_to_judge
from topk_lightning.findings._wording import percent
from topk_lightning.findings.never_predicted import chance_of_silence
from topk_lightning.hierarchy import Hierarchy
from topk_lightning.metrics import ClassReport


def kinds(findings):
    return [type(finding) for finding in findings]


def paired(right_of_rare, rare, common=2000, names=("cat", "dog")):
    """A report of a rare and a common class, the common one always right."""
    return report_of(torch.tensor([[right_of_rare, rare - right_of_rare], [0, common]]), list(names))


def test_accuracy_of_98_percent_with_12_percent_recall():
    (finding,) = findings(paired(6, 50))
    assert isinstance(finding, AccuracyParadox)
    (cat,) = finding.weakest
    assert (cat.name, cat.images, cat.right, cat.recall) == ("cat", 50, 6, 6 / 50)
    assert finding.accuracy == 2006 / 2050
    assert cat.low < 6 / 50 < cat.high < 0.60
    assert finding.severity == "serious"
    assert finding.sentence == (
        'The accuracy is 98 %, but it hides what is recognised far less often: "cat" 12 % (6 of 50 images).'
    )


def test_three_images_make_no_finding_of_low_recall():
    assert kinds(findings(paired(0, 3))) == [NeverPredicted, TooFewImages]
    assert kinds(findings(paired(1, 3))) == [TooFewImages]
    # Eight of which all are missed do: their interval ends at z²/(8 + z²) = 0.39 with the level shared by two classes.
    assert AccuracyParadox in kinds(findings(paired(0, 8)))


def test_a_recall_is_low_only_with_its_whole_interval():
    # 20 of 50 with two classes judged: the interval is at 97.5 % and ends at 0.56; that of 24 of 50 ends at 0.63.
    assert kinds(findings(paired(20, 50))) == [AccuracyParadox]
    assert findings(paired(24, 50)) == []
    assert findings(paired(20, 50), low_recall=0.5) == []


def test_a_thousand_equal_classes_make_no_finding_by_chance():
    scores, target = sure_batch(20_000, 1000, right=0.62)
    report = ClassReport(1000)
    report.update(scores, target)
    recall = report.compute()["recall"]
    assert (recall < 0.4).sum() > 10  # which would be findings without intervals
    assert not {LowRecall, AccuracyParadox, TooFewImages} & set(kinds(findings(report)))


def test_low_recall_without_a_high_accuracy_is_a_warning():
    table = torch.tensor([[100, 50, 0], [50, 100, 0], [30, 25, 5]])
    (finding,) = findings(report_of(table, ["cat", "dog", "owl"]))
    assert type(finding) is LowRecall
    assert finding.severity == "warning"
    assert finding.sentence == 'Recognised less often than the 57 % of all images: "owl" 8 % (5 of 60 images).'
    (paradox,) = findings(report_of(table), high_accuracy=0.5)
    assert type(paradox) is AccuracyParadox


def test_many_weak_classes_make_one_finding():
    table = torch.diag(torch.tensor([2, 3, 4, 5, 6, 400]))
    table[:5, 5] = 50
    most, finding = findings(report_of(table, list("abcdef")), high_accuracy=0.6)
    assert (type(most), most.predicted) == (DominantClass, 650)
    assert [one.name for one in finding.weakest] == ["a", "b", "c", "d", "e"]
    assert finding.sentence.endswith(
        '"a" 4 % (2 of 52 images), "b" 6 % (3 of 53 images), "c" 7 % (4 of 54 images) and 2 more.'
    )


def test_a_class_never_predicted():
    told = findings(paired(0, 40))
    assert kinds(told) == [AccuracyParadox, NeverPredicted]
    assert told[1].severity == "serious"
    assert told[1].sentence == 'Never predicted, not even once: "cat" (40 images).'
    (rare, _) = sorted(findings(paired(0, 1)), key=lambda finding: not isinstance(finding, NeverPredicted))
    assert rare.severity == "good to know"
    assert rare.sentence == 'Never predicted, not even once: "cat" (1 image). With so few images this may be chance.'


def silent_classes(images, others=0):
    """Classes of so many images each that are never predicted, `others` of two images always right, and one of many."""
    sizes = [*images, *[2] * others, 100]
    table = torch.diag(torch.tensor(sizes))
    for index in range(len(images)):
        table[index, [index, -1]] = torch.tensor([0, images[index]])
    return next(one for one in findings(report_of(table)) if isinstance(one, NeverPredicted))


def test_rare_classes_that_are_never_predicted_are_judged_by_their_sum():
    # 23 images: by chance with probability at most 2^11 e^-23.
    finding = silent_classes([3, 3, *[2] * 8, 1])
    assert (finding.severity, len(finding.never)) == ("serious", 11)
    assert finding.sentence == (
        'Never predicted, not even once: "class 0" (3 images), "class 1" (3 images), "class 2" (2 images) and 8 more, '
        "23 images together."
    )
    assert silent_classes([2]).severity == silent_classes([2, 2]).severity == "good to know"


def test_as_many_silent_classes_as_chance_makes_are_no_finding_of_weight():
    # Of 100 classes of two images some 100 e^-2 = 14 are not predicted by chance, and 30 are not.
    assert silent_classes([2] * 14, others=86).severity == "good to know"
    assert silent_classes([2] * 40, others=60).severity == "serious"


def test_the_chance_of_silence_is_a_bound_that_simulation_keeps():
    generator = torch.Generator().manual_seed(0)
    images = torch.tensor([1.0, 2, 2, 3] * 5)
    silent = torch.poisson(images.expand(20_000, -1), generator=generator) == 0
    totals = (silent * images).sum(1)
    for sum_of_images in (8, 12, 16):
        assert (totals >= sum_of_images).double().mean() <= chance_of_silence(images.int().tolist(), sum_of_images)
    assert chance_of_silence([23], 23) == pytest.approx(math.exp(-23) * (2 - math.exp(-23)), rel=0.5)


def test_one_class_that_takes_most_guesses():
    # 14 classes; 29 of 35 photos are called "fruit", of which there are 3.
    table = torch.zeros(14, 14, dtype=torch.long)
    table[:, 0] = torch.tensor([3, *[2] * 13])
    table[range(1, 7), 0] -= 1
    table[range(1, 7), range(1, 7)] += 1
    names = ["fruit", *(f"class {index}" for index in range(1, 14))]
    finding = next(one for one in findings(report_of(table, names)) if isinstance(one, DominantClass))
    assert (finding.predicted, finding.images, finding.total) == (23, 3, 29)
    assert finding.severity == "serious"
    assert finding.sentence == (
        '"fruit" takes 79 % of all guesses (23 of 29), but only 10 % of the images are of that class.'
    )


@pytest.mark.parametrize("table", [[[90, 0], [8, 2]], [[30, 8], [8, 30]], [[3, 0], [3, 1]]])
def test_a_class_that_takes_its_share_of_the_guesses_or_a_few_more_is_none(table):
    assert not any(isinstance(one, DominantClass) for one in findings(report_of(torch.tensor(table))))


def test_a_class_never_predicted_among_many_needs_more_images():
    # A class of n images is missed by chance with probability e⁻ⁿ: with 1000 judged classes 0.05/1000 asks for n = 10.
    table = torch.diag(torch.full((1000,), 30))
    table[:2, 2] = torch.tensor([9, 10])
    table[[0, 1], [0, 1]] = 0
    certain, chance = (finding for finding in findings(report_of(table)) if isinstance(finding, NeverPredicted))
    assert [one.name for one in certain.never] == ["class 1"]
    assert certain.severity == "serious"
    assert [one.name for one in chance.never] == ["class 0"]
    assert chance.severity == "good to know"


def test_classes_with_too_few_images():
    table = torch.diag(torch.tensor([100, 100, 100, 5, 0]))
    (finding,) = findings(report_of(table, ["cat", "dog", "owl", "fox", "bat"]))
    assert isinstance(finding, TooFewImages)
    assert (finding.names, finding.without, finding.min_images) == (("fox", "bat"), 1, 6)
    assert finding.severity == "good to know"
    assert finding.sentence == (
        '2 of 5 classes ("fox", "bat") have fewer than 6 test images, too few to judge one by one; 1 of them has none.'
    )
    assert findings(report_of(table), min_images=5)[0].names == ("class 4",)


@pytest.mark.parametrize(("low_recall", "level"), [(0.6, 0.95), (0.6, 0.99), (0.85, 0.95), (0.5, 0.9)])
def test_a_class_is_judged_where_the_interval_of_a_faultless_one_clears_the_bound(low_recall, level):
    from topk_lightning.metrics import wilson_interval

    images = images_to_judge(low_recall, level)
    low = [wilson_interval(torch.tensor(1.0), torch.tensor(float(n)), level)[0] for n in (images - 1, images)]
    assert low[0] <= low_recall < low[1]


def one_image_a_class(right):
    """Sixty classes of one image each, in six groups of ten, of which `right` are recognised."""
    table = torch.zeros(60, 60, dtype=torch.long)
    for label in range(60):
        group, place = divmod(label, 10)
        table[label, label if place < right[group] else (label + 10) % 60] = 1
    return report_of(table)


GROUPS = [name for name in ("animals", "flags", "food", "people", "signs", "tools") for _ in range(10)]


def test_classes_of_one_image_are_judged_by_their_groups():
    report = one_image_a_class([9, 0, 9, 9, 9, 9])
    told = findings(report, groups=GROUPS)
    low = next(finding for finding in told if isinstance(finding, LowRecall))
    (flags,) = low.weakest
    assert (flags.name, flags.images, flags.right, flags.classes) == ("flags", 10, 0, 10)
    assert 'less often than the 75 % of all images: "flags" 0 % (0 of 10 images of 10 classes).' in low.sentence
    few = next(finding for finding in told if isinstance(finding, TooFewImages))
    assert few.severity == "warning"
    assert few.groups[0].name == "flags"
    assert few.sentence == (
        "All 60 classes have fewer than 6 test images, too few to judge one by one. Taken together they make 6 groups, "
        'from "flags" 0 % (0 of 10 images of 10 classes) to "tools" 90 % (9 of 10 images of 10 classes).'
    )
    assert not any(isinstance(finding, LowRecall) for finding in findings(report))


@pytest.mark.parametrize(
    "groups",
    [
        GROUPS,
        [index // 10 for index in range(60)],
        {f"class {index}": GROUPS[index] for index in range(60)},
        Hierarchy(tuple(index // 10 for index in range(60)), ("animals", "flags", "food", "people", "signs", "tools")),
    ],
)
def test_groups_in_any_form(groups):
    told = findings(one_image_a_class([9, 0, 9, 9, 9, 9]), groups=groups)
    (low,) = (finding for finding in told if isinstance(finding, LowRecall))
    assert low.weakest[0].name in ("flags", "group 1")


def test_a_group_holds_only_its_classes_with_few_images():
    table = torch.diag(torch.tensor([3, 3, 3, 100]))
    (finding,) = findings(report_of(table), groups=["pet", "pet", "pet", "pet"])
    assert [(group.images, group.classes) for group in finding.groups] == [(9, 3)]
    assert finding.sentence.endswith('Taken together by their group: "pet" 100 % (9 of 9 images of 3 classes).')


@pytest.mark.parametrize(
    ("train", "found"),
    [(0.999, True), (0.98, False), (0.90, False), (None, False), (torch.tensor(0.999), True)],
)
def test_training_far_above_the_test(train, found):
    told = findings(report_of(ANIMALS), train_accuracy=train, overfitting_gap=0.09)
    assert kinds(told) == [Overfitting] * found


def test_overfitting_says_its_numbers():
    (finding,) = findings(report_of(ANIMALS), train_accuracy=0.99, val_accuracy=0.68)
    assert finding.gap == 0.99 - 0.68
    assert finding.severity == "warning"
    assert finding.sentence == (
        "Overfitting: the accuracy on training images is 99 %, on validation images 68 %, 31 points lower."
    )


def test_few_test_images_are_no_proof_of_overfitting():
    # 12 of 15: the interval ends at 0.93, the gap is larger than 0.10 all the same.
    table = torch.diag(torch.tensor([6, 6]))
    table[0, 1] = 3
    assert not any(isinstance(one, Overfitting) for one in findings(report_of(table), train_accuracy=0.92))
    assert any(isinstance(one, Overfitting) for one in findings(report_of(20 * table), train_accuracy=0.92))


def test_leaks():
    exact, near = Leak(("train: a.png", "test: b.png"), 0, True), Leak(("val: c.png", "test: d.png"), 3, False)
    (finding,) = findings(report_of(ANIMALS), leaks=Leaks((exact, near, near), 100, ("test: white.png",)))
    assert isinstance(finding, Leakage)
    assert (finding.exact, finding.near, finding.blank, finding.severity) == (1, 2, 1, "serious")
    assert finding.sentence == (
        "Leakage: 1 image stands in more than one split and 2 pairs of images from different splits look almost the same, "
        "such as train: a.png and test: b.png. Numbers measured on them flatter the model. "
        "1 image of nearly one colour could not be compared."
    )
    (finding,) = findings(report_of(ANIMALS), leaks=[near])
    assert finding.severity == "warning"
    assert finding.sentence.startswith(
        "Leakage: 1 pair of images from different splits looks almost the same, such as val:"
    )
    assert findings(report_of(ANIMALS), leaks=[]) == []


def ranked(rows, classes, first, second):
    """Rows whose target has rank 0 with probability `first`, 1 with `second`, and the last otherwise."""
    report = ClassReport(classes)
    target = torch.arange(rows) % classes
    scores = torch.rand(rows, classes, generator=torch.Generator().manual_seed(0)) + 1
    ahead = torch.arange(rows) / rows
    own = torch.where(ahead < first, 9.0, torch.where(ahead < first + second, 3.0, 0.0))
    scores[torch.arange(rows), (target + 1) % classes] = 5.0
    scores[torch.arange(rows), target] = own
    report.update(scores, target)
    return report


def test_a_gap_that_says_confuses_neighbours():
    (finding,) = findings(ranked(1000, 20, 0.60, 0.32))
    assert isinstance(finding, ConfusesNeighbours)
    assert (finding.k, finding.missed, finding.nearly, finding.chance) == (5, 400, 320, 4 / 19)
    assert finding.severity == "good to know"
    assert finding.sentence == (
        "It confuses neighbours: of 400 missed images, 320 (80 %) have the true class among the 5 best, where chance would "
        "put 21 % of them."
    )


def test_a_gap_that_says_has_not_learned():
    told = findings(ranked(1000, 20, 0.10, 0.10), low_recall=0.0)
    (finding,) = (finding for finding in told if isinstance(finding, NotLearned))
    assert (finding.missed, finding.nearly, finding.severity) == (900, 100, "serious")
    assert finding.sentence == (
        "It has not learned the classes: the accuracy is 10 %, and of 900 missed images only 100 (11 %) have the true class "
        "among the 5 best, where chance would put 21 % of them."
    )


def test_a_model_of_constant_scores_has_not_learned_although_its_top_5_is_one_half():
    report = ClassReport(10)
    report.update(torch.zeros(1000, 10), torch.arange(1000) % 10)
    assert report.compute()["top5"] == 0.5
    assert NotLearned in kinds(findings(report))


def test_a_share_of_near_misses_that_chance_explains_makes_no_finding():
    assert findings(ranked(20, 20, 0.60, 0.20), min_images=1000)[0].__class__ is TooFewImages
    assert not {ConfusesNeighbours, NotLearned} & set(kinds(findings(ranked(20, 20, 0.60, 0.20))))
    # k = C says nothing: every miss is among the C best. The next smaller k is asked.
    report = ClassReport(3, (1, 3))
    report.update(torch.eye(3)[[1, 2, 0]].repeat(50, 1), torch.arange(3).repeat(50))
    assert not {ConfusesNeighbours, NotLearned} & set(kinds(findings(report)))


def test_nan_scores_come_with_their_number():
    report = ClassReport(2, 1)
    scores = torch.eye(2).repeat(20, 1)
    scores[3, 0] = math.nan
    report.update(scores, torch.arange(2).repeat(20))
    (finding,) = findings(report)
    assert isinstance(finding, NanScores)
    assert finding.sentence == (
        "1 of 40 images got a score that is not a number (NaN); they have no predicted class and count as missed."
    )


def test_the_most_serious_come_first_and_a_good_classifier_gets_none():
    told = findings(
        ranked(1000, 20, 0.60, 0.32), train_accuracy=0.99, leaks=[Leak(("train: a", "test: b"), 0, exact=True)]
    )
    assert [finding.severity for finding in told] == ["serious", "warning", "good to know"]
    assert findings(report_of(ANIMALS), train_accuracy=0.95) == []


def test_findings_are_values():
    first, second = (findings(paired(6, 50))[0] for _ in range(2))
    assert first == second == pickle.loads(pickle.dumps(first))
    with pytest.raises(AttributeError):
        first.accuracy = 1.0


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0, "0 %"), (1, "100 %"), (0.125, "12 %"), (0.996, "99.6 %"), (0.9999, "over 99.9 %"), (0.0001, "under 0.1 %")],
)
def test_percentages_are_whole_only_where_they_are(fraction, text):
    assert percent(fraction) == text
