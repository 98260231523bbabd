# The public names, each with the module that it comes from: the only list of them.
from ._average_k import (
    average_k_accuracy as average_k_accuracy,
)
from ._best_k import (
    BestK as BestK,
    Costs as Costs,
    best_k as best_k,
)
from ._binomial import (
    error_bound as error_bound,
    least_images as least_images,
)
from ._calibrate import (
    ScoresCalibration as ScoresCalibration,
    calibrate_scores as calibrate_scores,
)
from ._class_list import (
    ClassList as ClassList,
)
from ._compare_scores import (
    ScoresComparison as ScoresComparison,
    compare_scores as compare_scores,
)
from ._compare_seeds import (
    ClassGain as ClassGain,
    SeedsComparison as SeedsComparison,
    compare_seeds as compare_seeds,
)
from ._group_of_set import (
    group_of_set as group_of_set,
)
from ._level_meter import (
    LevelMeter as LevelMeter,
)
from ._mcnemar import (
    mcnemar as mcnemar,
)
from ._merging import (
    MergePair as MergePair,
    pairs_to_merge as pairs_to_merge,
)
from ._paired import (
    PairedComparison as PairedComparison,
    compare_hits as compare_hits,
)
from ._prediction_sets import (
    PredictionSets as PredictionSets,
)
from ._quantile import (
    fewest_images as fewest_images,
)
from ._review import (
    ReviewPlan as ReviewPlan,
    review_plan as review_plan,
)
from ._review_meter import (
    ReviewMeter as ReviewMeter,
)
from ._review_outcome import (
    PILES as PILES,
    ReviewOutcome as ReviewOutcome,
)
from ._risk_coverage import (
    RiskCoverage as RiskCoverage,
    risk_coverage as risk_coverage,
)
from ._roll_up import (
    RollUp as RollUp,
    SureAnswer as SureAnswer,
    roll_up as roll_up,
)
from ._roll_up_halves import (
    HalvesOutcome as HalvesOutcome,
    roll_up_on_halves as roll_up_on_halves,
)
from ._roll_up_outcome import (
    LevelAnswers as LevelAnswers,
    RollUpOutcome as RollUpOutcome,
)
from ._seeds import (
    SeedsDifference as SeedsDifference,
    difference_over_seeds as difference_over_seeds,
)
from ._set_outcome import (
    SetMeter as SetMeter,
    SetOutcome as SetOutcome,
    coverage_band as coverage_band,
    measure_sets as measure_sets,
)
from ._set_sizes import (
    SizeComparison as SizeComparison,
)
from ._suspect_labels import (
    ConfidentJoint as ConfidentJoint,
    SuspectLabels as SuspectLabels,
    confident_errors as confident_errors,
    confident_joint as confident_joint,
    suspect_labels as suspect_labels,
)
from ._topk import (
    ClassComparison as ClassComparison,
    compare_classes as compare_classes,
    compare_topk as compare_topk,
)
