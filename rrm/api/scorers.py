"""Who scores when a run's policy is optimised: the models of its levels, or what is composed of their scores."""

from collections.abc import Sequence
from typing import Literal

from rrm.api.composed import ComposedScorer, claim_reader
from rrm.api.loaded import Loaded
from rrm.api.recorded import seen_in_training
from rrm.api.worker import ModelScorer
from rrm.core.errors import InputError
from rrm.core.protocols import Seen
from rrm.core.roles import Scorer, Select, Train
from rrm.core.values import Fitted

By = Literal["level", "composed"]
"""What an output is worth: what its level's model says of it / what is composed of that and of what was read below."""


def level_scorer(run: Loaded) -> Scorer[Train]:
    """Return who scores by the last model of role train of each level; raise InputError where there is none."""
    return ModelScorer[Train](tuple(_last(run).values()), run.worker.models)


def select_scorer(run: Loaded) -> Scorer[Select] | None:
    """Return who chooses, by the last model of role select of each level; None in a run without that judge."""
    fitted = [each for each in run.models() if each.role == Select.name and each.place.subject == "answer"]
    last = {each.place.level: each for each in fitted}
    return ModelScorer[Select](tuple(last.values()), run.worker.models) if last else None


def composed_scorer(run: Loaded) -> tuple[Scorer[Train], Sequence[Seen]]:
    """Return who gives the composed scores of a run's training nodes, and these nodes."""
    models = {level: (fitted, run.worker.models.load(fitted)) for level, fitted in _last(run).items()}
    composer = run.composer()
    reader = claim_reader(run.record, run.worker.models, composer)
    scorer = ComposedScorer(run.record, models, composer, run.worker.parts.aligner, reader)
    return scorer, seen_in_training(run.record, run.trees)


def _last(run: Loaded) -> dict[int, Fitted]:
    """Return the last model of role train of each level; raise InputError without any."""
    fitted = [each for each in run.models() if each.role == Train.name and each.place.subject == "answer"]
    if not fitted:
        raise InputError(f"{run.directory} has no reward model of role train yet: wait until its first level is fitted")
    return {each.place.level: each for each in fitted}
