"""Steps, as TRL has them: each with a label that says whether it is right.

{"prompt": "What is 2 + 3 * 4?", "completions": ["3 * 4 = 12.", "2 + 12 = 15."], "labels": [true, false]}
"""

from rrm.core.errors import InputError
from rrm.interchange.columns import text
from rrm.interchange.forms.form import Judged, Legend, is_list, label_of
from rrm.interchange.rows import Row


def stepwise(row: Row, legend: Legend) -> list[Judged]:
    """Read a label for every step; the steps before it, one a line, are its context."""
    steps, labels = row["completions"], row["labels"]
    if not is_list(steps) or not is_list(labels) or len(steps) != len(labels) or not len(steps):
        raise InputError("completions and labels must be lists of one length, a label for every step")
    texts = [text({f"completions[{place}]": step}, f"completions[{place}]") for place, step in enumerate(steps)]
    return [
        Judged((each,), label_of(labels[place], f"labels[{place}]"), "\n".join(texts[:place]))
        for place, each in enumerate(texts)
    ]
