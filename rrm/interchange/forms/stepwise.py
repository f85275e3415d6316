"""Steps, as TRL has them: each with a label that says whether it is right.

{"prompt": "What is 2 + 3 * 4?", "completions": ["3 * 4 = 12.", "2 + 12 = 15."], "labels": [true, false]}
"""

from rrm.core.errors import InputError
from rrm.interchange.columns import text
from rrm.interchange.forms.form import Judged, Legend, is_list, label_of
from rrm.interchange.rows import Row


def stepwise(row: Row, legend: Legend) -> list[Judged]:
    """Read a label for every step; the steps before it, one a line, are its context.

    Where step and label are both null, both are absent.
    """
    steps, labels = row["completions"], row["labels"]
    equally_long = is_list(steps) and is_list(labels) and len(steps) == len(labels)
    both = list(zip(steps, labels, strict=True)) if equally_long else []
    told = [place for place, pair in enumerate(both) if pair != (None, None)]
    if not told:
        raise InputError("completions and labels must be lists of one length, a label for every step")
    texts = [text({f"completions[{place}]": both[place][0]}, f"completions[{place}]") for place in told]
    return [
        Judged((texts[at],), label_of(both[place][1], f"labels[{place}]"), "\n".join(texts[:at]))
        for at, place in enumerate(told)
    ]
