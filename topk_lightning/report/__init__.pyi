# The public names, each with the module that it comes from: the only list of them.
from ._report_path import (
    check_report_path as check_report_path,
)
from ._score_images import (
    pictures_by_name as pictures_by_name,
    score_images as score_images,
)
from .training_summary import (
    training_summary as training_summary,
)
from .write_comparison import (
    write_comparison as write_comparison,
)
from .write_report import (
    write_report as write_report,
)
