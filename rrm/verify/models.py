"""What learners of reward models and of verifiers promise, and what they fit; composers and their learners."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from rrm.core.errors import InputError, RoleError
from rrm.core.graph import Node
from rrm.core.place import Place
from rrm.core.protocols import (
    ClaimBeside,
    Composer,
    ComposerLearner,
    JoinedRating,
    RewardLearner,
    RewardModel,
    ScoredPart,
    Start,
    Verifier,
    VerifierLearner,
    Workspace,
)
from rrm.core.roles import Final, Ratings, Train
from rrm.core.task import Task
from rrm.core.values import OVERALL, Group, Output, Prediction, Score
from rrm.verify import made_up
from rrm.verify.held import Checks, Held, checking

_TOLERANCE = 1e-6


def check_learner(
    learner: RewardLearner, ratings: Ratings[Train] | None = None, groups: Sequence[Group] | None = None
) -> Held:
    """Check that a learner fits models that score what they are given and know what they were fitted on.

    `groups` are scored; some of them should be about sources without ratings. Raises ContractError.
    """
    rated = ratings or made_up.ratings(Train)
    asked = list(groups) if groups is not None else list(made_up.groups())
    with checking("learner", learner) as checks, TemporaryDirectory() as place:
        model = learner.fit(rated, Start(), Place(), 3, _workspace(place, "one"))
        checks.require(
            isinstance(model, RewardModel), "returns a reward model", f"a RewardModel belongs here, got {model!r:.60}"
        )
        said = model.predict(asked)
        _check_predictions(checks, model, asked, said)
        _check_sources(checks, model, {row.request.source for row in rated.rows}, {group.source for group in asked})
        _check_files(checks, learner, model, asked, Path(place) / "saved")
        again = learner.fit(rated, Start(), Place(), 3, _workspace(place, "two"))
        checks.require(
            again.digest == model.digest, "fits equally with equal seeds", "equal ratings and seed gave another model"
        )
        above = learner.fit(Ratings(Train, ()), Start(model), Place(0, "answer", 1), 3, _workspace(place, "above"))
        checks.require(
            [each.k for each in above.predict(asked)] == [len(group.outputs) for group in asked],
            "serves above without ratings",
            "a level without ratings must be served by the model below",
        )
        later = learner.fit(rated, Start(before=model), Place(1), 3, _workspace(place, "later"))
        sources = sorted({row.request.source for row in rated.rows})
        checks.require(
            [later.fold(source) for source in sources] == [model.fold(source) for source in sources],
            "holds out in the next round what it held out",
            "fitted again from its own model, it has its sources in other folds, and that model has seen them",
        )
        _check_role(checks, learner, rated, place)
    return checks.held


def _workspace(place: str, name: str) -> Workspace:
    folder = Path(place) / name
    folder.mkdir()
    return Workspace(folder)


def _check_predictions(checks: Checks, model: RewardModel, groups: Sequence[Group], said: Sequence[Prediction]) -> None:
    sizes, told = [len(group.outputs) for group in groups], [each.k for each in said]
    checks.require(told == sizes, "scores every output", f"groups of {sizes} outputs were given {told} scores")
    alone = [model.predict([group])[0] for group in groups]
    near = all(_equal(one, other) for one, other in zip(alone, said, strict=True))
    checks.require(near, "scores each group by itself", "a group's scores hang on the groups beside it")


def _check_sources(checks: Checks, model: RewardModel, fitted: set[str], asked: set[str]) -> None:
    for source in sorted(fitted):
        fold = model.fold(source)
        checks.require(fold is not None, "knows what it was fitted on", f"it says nothing of the source {source}")
        checks.require(
            model.holds_out(source) == (fold != -1),
            "holds sources out as their folds say",
            f"{source} is in fold {fold} and holds_out says {model.holds_out(source)}",
        )
    for source in sorted(asked - fitted):
        checks.require(
            model.fold(source) is None and model.holds_out(source),
            "has seen no other source",
            f"it says that it was fitted on {source}, about which there were no ratings",
        )


def _check_files(
    checks: Checks, learner: RewardLearner, model: RewardModel, groups: Sequence[Group], folder: Path
) -> None:
    digest = model.save(folder)
    loaded = learner.load(folder)
    checks.require(
        digest == model.digest == loaded.digest, "loads what it saved", "the saved model's digest is another"
    )
    same = all(_equal(a, b) for a, b in zip(loaded.predict(groups), model.predict(groups), strict=True))
    checks.require(same, "scores equally when loaded", "the loaded model gives other scores")
    checks.require(
        [loaded.fold(group.source) for group in groups] == [model.fold(group.source) for group in groups],
        "knows its folds when loaded",
        "the loaded model knows other folds",
    )


def _check_role(checks: Checks, learner: RewardLearner, ratings: Ratings[Train], place: str) -> None:
    refused = False
    with suppress(Exception):
        try:
            learner.fit(Ratings(Final, ratings.rows), Start(), Place(), 3, _workspace(place, "final"))
        except RoleError:
            refused = True
    checks.require(refused, "refuses ratings of role final", "it fits ratings of role final, which only report")


def _equal(one: Prediction, other: Prediction) -> bool:
    pairs = [(one.rewards, other.rewards), (one.acceptance, other.acceptance)]
    return all(
        a.keys() == b.keys() and all(a[c].shape == b[c].shape and np.allclose(a[c], b[c], atol=_TOLERANCE) for c in a)
        for a, b in pairs
    )


# ---- verifiers ----


def check_verifier_learner(
    learner: VerifierLearner, ratings: Ratings[Train] | None = None, claims: Sequence[ClaimBeside] | None = None
) -> Held:
    """Check that a learner of verifiers fits one that says of every claim how probably it is supported.

    `ratings` hold marks on claims; some of the `claims` should be about sources without ratings. Raises ContractError.
    """
    rated = ratings or made_up.marked(Train)
    asked = list(claims) if claims is not None else list(made_up.claims())
    with checking("verifier learner", learner) as checks, TemporaryDirectory() as place:
        one, two = (learner.fit_claims(rated, Place(), 3, _workspace(place, name)) for name in ("one", "two"))
        checks.require(isinstance(one, Verifier), "returns a verifier", f"a Verifier belongs here, got {one!r:.60}")
        said = one.support(asked)
        checks.require(
            len(said) == len(asked), "judges every claim", f"{len(asked)} claims were given {len(said)} scores"
        )
        samples = [np.asarray(score.samples) for score in said]
        checks.require(
            all(np.isfinite(each).all() and ((each >= 0) & (each <= 1)).all() for each in samples),
            "gives probabilities",
            "support is a probability from 0 to 1 by every member",
        )
        alone = [one.support([claim])[0] for claim in asked]
        checks.require(_near(alone, said), "judges each claim by itself", "a claim's support hangs on those beside it")
        checks.require(
            two.digest == one.digest and _near(two.support(asked), said),
            "fits equally with equal seeds",
            "equal ratings and seed gave another verifier",
        )
        one.save(Path(place) / "saved")
        loaded = learner.load(Path(place) / "saved")
        checks.require(
            loaded.digest == one.digest and _near(loaded.support(asked), said),
            "loads what it saved",
            "the verifier that is loaded is not the one that was saved",
        )
        checks.require(
            _refuses(
                lambda: learner.fit_claims(Ratings(Final, rated.rows), Place(), 3, _workspace(place, "final")),
                RoleError,
            ),
            "refuses ratings of role final",
            "it fits ratings of role final, which only report",
        )
        checks.require(
            _refuses(lambda: learner.fit_claims(Ratings(Train, ()), Place(), 3, _workspace(place, "none")), InputError),
            "says where there is nothing to learn",
            "it must raise InputError without ratings",
        )
    return checks.held


def _refuses(fit: Callable[[], object], error: type[Exception]) -> bool:
    """Whether a call raises this error, and no other."""
    try:
        fit()
    except Exception as found:
        return isinstance(found, error)
    return False


def _near(one: Sequence[Score], other: Sequence[Score]) -> bool:
    pairs = [(np.asarray(a.samples), np.asarray(b.samples)) for a, b in zip(one, other, strict=True)]
    return all(a.shape == b.shape and np.allclose(a, b, atol=_TOLERANCE) for a, b in pairs)


# ---- composers ----


def check_composer(
    composer: Composer, scores: Prediction | None = None, parts: Sequence[ScoredPart] | None = None
) -> Held:
    """Check that a composer keeps the shape, gives probabilities, and leaves a node without parts its own scores.

    `scores` are the own ones, [members, k], `parts` have as many members. Raises ContractError.
    """
    own = scores or made_up.prediction()
    below = tuple(parts) if parts is not None else made_up.parts()
    with checking("composer", composer) as checks:
        _check_composer(checks, composer, own, below)
    return checks.held


def _check_composer(checks: Checks, composer: Composer, own: Prediction, below: Sequence[ScoredPart]) -> None:
    node = Node("made-up", Task("Join them.", rank=1))
    candidates = tuple(Output("made-up", f"output {at}", "made-up", at) for at in range(own.k))
    kept = [own.acceptance[OVERALL].copy(), *(part.acceptance[OVERALL].copy() for part in below)]
    found = composer.compose(node, candidates, own, below)
    checks.require(
        isinstance(found, Prediction) and found.acceptance.keys() == own.acceptance.keys(),
        "returns a prediction by the same criteria",
        f"a Prediction by {', '.join(own.acceptance)} belongs here, got {found!r:.60}",
    )
    shape, wanted = found.acceptance[OVERALL].shape, own.acceptance[OVERALL].shape
    checks.require(shape == wanted, "keeps the shape", f"scores of {wanted} came out as {shape}")
    alone = composer.compose(node, candidates, own, ())
    checks.require(
        _equal(alone, own), "keeps the own scores without parts", "a node without parts must keep its own scores"
    )
    checks.require(
        _equal(found, composer.compose(node, candidates, own, below)),
        "composes equally each time",
        "equal scores and parts were composed otherwise the second time",
    )
    after = [own.acceptance[OVERALL], *(part.acceptance[OVERALL] for part in below)]
    pure = all(np.array_equal(a, b) for a, b in zip(kept, after, strict=True))
    checks.require(pure, "leaves its arguments as they are", "it changed the scores that it was given")


def check_composer_learner(learner: ComposerLearner, ratings: Sequence[JoinedRating] | None = None) -> Held:
    """Check that a composer learner fits a composer, equally each time, and loads what it saved.

    Raises ContractError.
    """
    rows = list(ratings) if ratings is not None else list(made_up.joined_ratings())
    with checking("composer learner", learner) as checks, TemporaryDirectory() as place:
        at = Place(0, "answer", 1)
        one, two = (learner.fit(rows, at, 3, _workspace(place, name)) for name in ("one", "two"))
        checks.require(isinstance(one, Composer), "returns a composer", f"a Composer belongs here, got {one!r:.60}")
        _check_composer(checks, one, made_up.prediction(), made_up.parts())
        node, own = Node("made-up", Task("Join them.", rank=1)), made_up.prediction(k=1)
        outputs, below = made_up.outputs("made-up", ("Said.",)), made_up.parts()
        first = one.compose(node, outputs, own, below)
        checks.require(
            two.name == one.name and _equal(two.compose(node, outputs, own, below), first),
            "learns equally with equal seeds",
            "equal ratings and seed gave another composer",
        )
        loaded = learner.load(Path(place) / "one")
        checks.require(
            loaded.name == one.name and _equal(loaded.compose(node, outputs, own, below), first),
            "loads what it saved",
            "the composer that is loaded is not the one that was saved",
        )
        nothing = False
        with suppress(Exception):
            try:
                learner.fit([], at, 3, _workspace(place, "none"))
            except InputError:
                nothing = True
        checks.require(nothing, "says where there is nothing to learn", "it must raise InputError without ratings")
    return checks.held
