"""Comparisons in hindsight: what came of two outputs was shown beside them, and is theirs to be judged by.

The likelihood is the comparison's: a rater who saw more chooses by the same rewards, of what the outputs are worth and
not of how they look. What is learned reads views and outputs alone, so that it foresees what raters saw afterwards
(Liang et al. 2025, arXiv:2501.08617).
"""

from rrm.feedback.comparison import log_prob as log_prob
from rrm.feedback.comparison import of_rows as of_rows
