"""Single outputs that were accepted or not, as TRL has them; a label is true or false, or 1 or 0.

{"prompt": "Sum up.", "completion": "It burned.", "label": true}
"""

from rrm.interchange.columns import text
from rrm.interchange.forms.form import Judged, Legend, label_of
from rrm.interchange.rows import Row


def unpaired(row: Row, legend: Legend) -> list[Judged]:
    """Read whether the completion is accepted."""
    return [Judged((text(row, "completion"),), label_of(row["label"], "label"))]
