"""Single outputs that were accepted or not, as TRL has them; a label is true or false, or 1 or 0.

{"prompt": "Sum up.", "completion": "It burned.", "label": true}
"""

from rrm.interchange.columns import text
from rrm.interchange.forms.form import Judged, Legend, label_of
from rrm.interchange.pairs import SINGLE
from rrm.interchange.rows import Row


def unpaired(row: Row, legend: Legend) -> list[Judged]:
    """Read whether the text is accepted."""
    column = next((each for each in SINGLE if each in row), SINGLE[0])
    return [Judged((text(row, column),), label_of(row["label"], "label"))]
