"""How well a verifier tells which claims people find supported, on sources never fitted, beside plain baselines.

Fits on the train files of the folder of real data (RRM_DATA, by default ../shared/data) and evaluates on its
validation files: SQuALITY's marks on summaries, SummEval's consistency, EntailmentBank's conclusions, REALSumm's
content units, and SQuALITY's comparisons with claims against without. `--only NAME` takes the sets with that in their
names, `--tuned BACKBONE` fine-tunes a verifier beside the frozen one, `--json FILE` writes a row for every number.
Every predictor is a probability: a single number, such as the share of a claim's words that its origins hold, goes
through a logistic that is fitted on train.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit
from scipy.stats import rankdata

from benchmarks.claim_comments import said
from benchmarks.people import DATA, squality
from rrm.agreement.alpha import alpha
from rrm.agreement.codings import codings
from rrm.compose.align import Aligner
from rrm.core.claims import about, claim_spans
from rrm.core.place import Place
from rrm.core.protocols import ClaimBeside, RewardLearner, Start, Workspace
from rrm.core.report import Interval
from rrm.core.roles import Ratings, Train
from rrm.core.task import Span
from rrm.core.text import words
from rrm.core.values import (
    Answer,
    ClaimMarks,
    Comparison,
    Feedback,
    Label,
    Passage,
    Rated,
    Rating,
    Request,
    Shown,
    View,
)
from rrm.evaluate.baselines import BagOfWords
from rrm.evaluate.metrics import cluster_interval, hits, nll
from rrm.interchange.rows import Row, read_rows
from rrm.reward.blend import Blend
from rrm.reward.frozen import Frozen
from rrm.reward.joint import Joint
from rrm.reward.model import LevelModel
from rrm.reward.verifier import ClaimVerifier, Verified, beside

RESAMPLES = 500
Gain = tuple[float | None, float | None, float | None]
TASK = View("Summarise the text.", (), 512)


class Judged(NamedTuple):
    """A claim beside its origins, whether somebody finds it supported (1 or 0), and what it hangs together with."""

    claim: ClaimBeside
    supported: float
    cluster: str


@dataclass(frozen=True)
class Figure:
    """A predictor on a set: area under the ROC curve and mean negative log-likelihood, with 95 % intervals.

    `over` is the area less that of word overlap, on the same resamples of clusters. Of choices between outputs `auc` is
    the accuracy, and of raters' agreement it is Krippendorff's alpha.
    """

    set: str
    predictor: str
    n: int
    clusters: int
    share: float
    auc: float
    auc_low: float | None
    auc_high: float | None
    over: float | None = None
    over_low: float | None = None
    over_high: float | None = None
    nll: float | None = None


@dataclass
class Models:
    """One frozen encoder for all sets: a text is encoded once; and the backbone to fine-tune, if one is asked for."""

    tuned: str | None = None

    @cached_property
    def frozen(self) -> Frozen:
        return Frozen(device="cpu")

    @cached_property
    def verified(self) -> Verified:
        return Verified(self.frozen, Aligner(self.frozen.reader.encoder, least=0.0), around=1)

    def fitted(self, rows: Sequence[Rated]) -> LevelModel:
        """Return the model of a place that is fitted to rows as they are."""
        with tempfile.TemporaryDirectory() as folder:
            return self.frozen.fit(*training(rows, Path(folder)))

    def tuned_means(self, rows: Sequence[Rated], claims: Sequence[ClaimBeside]) -> dict[str, np.ndarray]:
        """Return what fine-tuned verifiers fitted to rows say of claims, alone and added to the frozen encoder's."""
        if self.tuned is None:
            return {}
        joint = Joint(self.tuned, device="cpu")
        both = Blend([self.frozen, joint])
        learners: dict[str, RewardLearner] = {"verifier, fine-tuned": joint, "verifier, frozen and fine-tuned": both}
        found = {}
        for name, learner in learners.items():
            with tempfile.TemporaryDirectory() as folder:
                found[name] = means(ClaimVerifier(learner.fit(*training(rows, Path(folder)))), claims)
        return found

    def verifier(self, rows: Sequence[Rated]) -> ClaimVerifier:
        """Return a verifier fitted to claims that stand beside their origins already."""
        return ClaimVerifier(self.fitted(rows))

    def cosine(self, claims: Sequence[ClaimBeside]) -> np.ndarray:
        """Return the largest cosine of each claim with one of its origins, 0 without any."""
        encoder = self.frozen.reader.encoder
        found = []
        for claim in claims:
            vectors = encoder.encode([claim.text, *claim.origins])
            found.append(float((vectors[1:] @ vectors[0]).max(initial=0.0)))
        return np.array(found)


def training(rows: Sequence[Rated], folder: Path) -> tuple[Ratings[Train], Start, Place, int, Workspace]:
    """Return what a learner is asked to fit to rows as they are."""
    return Ratings(Train, tuple(rows)), Start(), Place(), 0, Workspace(folder)


def overlap(claims: Sequence[ClaimBeside]) -> np.ndarray:
    """Return the share of each claim's different words that stand in its origins."""
    found = []
    for claim in claims:
        own = {word.lower() for word in words(claim.text)}
        held = {word.lower() for origin in claim.origins for word in words(origin)}
        found.append(len(own & held) / max(len(own), 1))
    return np.array(found)


def told(claim: ClaimBeside, answer: Answer, rater: str = "people") -> Rated:
    """Return a rater's answer about a claim beside its origins."""
    view, shown = beside(claim.origins), (Shown("claim", claim.text),)
    request = Request("claim", claim.source, Place(), answer.kind, view, shown)
    return Rated(request, Feedback(request.id, rater, answer))


def labels(judged: Sequence[Judged]) -> list[Rated]:
    return [told(each.claim, Label(each.supported > 0.5)) for each in judged]


def alone(row: Rated) -> Rated:
    """Return a row with nothing to read: what the words of a claim tell without what it rests on."""
    request = replace(row.request, view=replace(row.request.view, passages=()))
    return replace(row, request=request, feedback=replace(row.feedback, request=request.id))


def logistic(value: np.ndarray, good: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return probabilities that rise or fall with a number, fitted to 1 and 0, with a weak prior on the slope."""
    spread = max(float(value.std()), 1e-9)

    def loss(at: np.ndarray) -> float:
        margin = at[0] * value / spread + at[1]
        return float(-(good * log_expit(margin) + (1 - good) * log_expit(-margin)).sum() + 0.05 * at[0] ** 2)

    slope, intercept = minimize(loss, np.zeros(2)).x
    return lambda new: expit(slope * new / spread + intercept)


# ---- figures ----


def area(rows: np.ndarray) -> float:
    """Return the area under the ROC curve of rows [n, 2]: predictor, outcome (1 or 0); ties count one half."""
    good = rows[:, 1] > 0.5
    ranks = rankdata(rows[:, 0])
    pairs = good.sum() * (~good).sum()
    return float((ranks[good].sum() - good.sum() * (good.sum() + 1) / 2) / pairs) if pairs else float("nan")


def figures(
    name: str, outcome: np.ndarray, clusters: Sequence[str], predicted: Mapping[str, np.ndarray], base: str
) -> Iterator[Figure]:
    """Yield a figure for every predictor, each beside that of the `base`."""
    for predictor, value in predicted.items():
        rows = np.stack([value, outcome, predicted[base]], axis=1)
        ends = interval(rows[:, :2], clusters, area)
        gain: Gain = (None, None, None)
        if predictor != base:
            more = interval(rows, clusters, lambda drawn: area(drawn[:, :2]) - area(drawn[:, [2, 1]]))
            gain = (area(rows[:, :2]) - area(rows[:, [2, 1]]), *more)
        common = (len(outcome), len(set(clusters)), float(outcome.mean()))
        yield Figure(name, predictor, *common, area(rows[:, :2]), *ends, *gain, nll(value, outcome))


def agreement(name: str, entries: Iterable[tuple[str, Hashable, Hashable, Hashable]]) -> Figure:
    """Return Krippendorff's alpha of what raters say of claims, in the place of an area; clusters are sources."""
    told_ = list(entries)
    sources = {unit: source for source, unit, _, _ in told_}
    found = alpha(codings(((unit, rater, value) for _, unit, rater, value in told_), sources), resamples=RESAMPLES)
    share = float(np.mean([bool(value) for *_, value in told_]))
    count = len(set(sources.values()))
    return Figure(name, "raters' alpha", len(told_), count, share, found.value or 0.0, found.low, found.high)


def interval(
    rows: np.ndarray, clusters: Sequence[str], statistic: Callable[[np.ndarray], float]
) -> tuple[float | None, float | None]:
    found: Interval | None = cluster_interval(rows, clusters, statistic, resamples=RESAMPLES)
    return (found.low, found.high) if found else (None, None)


def measured(
    name: str,
    models: Models,
    train: Sequence[Judged],
    test: Sequence[Judged],
    rows: Sequence[Rated],
    more: Mapping[str, np.ndarray] | None = None,
) -> Iterator[Figure]:
    """Yield the figures of a set of claims: the verifier fitted to `rows`, and what it has to beat."""
    asked, known = [each.claim for each in test], [each.claim for each in train]
    outcome, good = (np.array([each.supported for each in of]) for of in (test, train))
    verifier, blind = models.verifier(rows), models.verifier([alone(row) for row in rows])
    bare = [replace(claim, origins=()) for claim in asked]
    predicted = {
        "verifier": means(verifier, asked),
        **models.tuned_means(rows, asked),
        "claim alone": means(blind, bare),
        "cosine": logistic(models.cosine(known), good)(models.cosine(asked)),
        "word overlap": logistic(overlap(known), good)(overlap(asked)),
        **(more or {}),
    }
    yield from figures(name, outcome, [each.cluster for each in test], predicted, "word overlap")


def means(verifier: ClaimVerifier, claims: Sequence[ClaimBeside]) -> np.ndarray:
    return np.array([score.mean for score in verifier.support(claims)])


# ---- EntailmentBank ----


def proofs(split: str) -> list[Judged]:
    """Return every conclusion of a proof beside its own premises, and beside the premises of another question's step.

    The other step is the one, of all of the split, whose premises hold most of the conclusion's words.
    """
    steps = []
    for _, row in read_rows(DATA / f"entailment_bank/{split}.jsonl.gz"):
        known = {**row["leaves"], **row["intermediate"], "hypothesis": row["hypothesis"]}
        for step in row["steps"]:
            premises = tuple(known[each] for each in step["premises"] if each in known)
            if premises and step["conclusion"] in known:
                steps.append((str(row["question"]), known[step["conclusion"]], premises))
    own = [{word.lower() for word in words(conclusion)} for _, conclusion, _ in steps]
    held = [{word.lower() for premise in premises for word in words(premise)} for *_, premises in steps]
    column = {word: at for at, word in enumerate(sorted(set().union(*own, *held)))}
    said_, read = (incidence(sets, column) for sets in (own, held))
    shared = said_ @ read.T
    question = np.array([each for each, *_ in steps])
    shared[question[:, None] == question[None, :]] = -1
    found = []
    for at, (source, conclusion, premises) in enumerate(steps):
        other = steps[int(shared[at].argmax())][2]
        found += [
            Judged(ClaimBeside(source, conclusion, premises), 1.0, source),
            Judged(ClaimBeside(source, conclusion, other), 0.0, source),
        ]
    return found


def incidence(sets: Sequence[set[str]], column: Mapping[str, int]) -> np.ndarray:
    table = np.zeros((len(sets), len(column)), dtype=np.float32)
    for row, each in enumerate(sets):
        table[row, [column[word] for word in each]] = 1
    return table


def entailment(models: Models) -> Iterator[Figure]:
    train, test = proofs("train"), proofs("validation")
    yield from measured("EntailmentBank: own premises or another's", models, train, test, labels(train))


# ---- REALSumm ----


class Unit(NamedTuple):
    """A content unit and a summary, and the votes of those who said whether it is in there."""

    claim: ClaimBeside
    votes: tuple[int, ...]


def units(split: str) -> list[Unit]:
    """Return every content unit beside every summary of its article."""
    keys = ("doc", "setting", "system")
    summary = {
        tuple(row[key] for key in keys): row["summary"]
        for _, row in read_rows(DATA / f"realsumm/summaries_{split}.jsonl.gz")
    }
    votes: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for _, row in read_rows(DATA / f"realsumm/scu_votes_{split}.jsonl.gz"):
        votes[(*(row[key] for key in keys), row["statement"])].append(int(row["present"]))
    return [
        Unit(ClaimBeside(key[0], key[3], (summary[key[:3]],)), tuple(found))
        for key, found in votes.items()
        if summary.get(key[:3], "").strip()
    ]


def coverage(models: Models) -> Iterator[Figure]:
    """Every vote is a row to fit on, and one to predict."""
    train, test = units("train"), units("validation")
    rows = [told(unit.claim, Label(bool(vote)), f"slot {at}") for unit in train for at, vote in enumerate(unit.votes)]
    judged, known = (
        [Judged(unit.claim, float(vote), unit.claim.source) for unit in of for vote in unit.votes]
        for of in (test, train)
    )
    yield from measured("REALSumm: content unit covered", models, known, judged, rows)
    votes = (
        (unit.claim.source, place, at, vote) for place, unit in enumerate(test) for at, vote in enumerate(unit.votes)
    )
    yield agreement("REALSumm: content unit covered", votes)


# ---- SummEval ----


class Article(NamedTuple):
    """A summary with its article and the mean of three experts' consistency, 1 to 5."""

    source: str
    article: str
    summary: str
    consistency: float

    @property
    def rated(self) -> Rated:
        return rated(Rating(self.consistency, 5), self.source, self.article, [self.summary])


def articles(split: str) -> list[Article]:
    return [
        Article(row["doc"], row["source"], row["candidate"], float(row["scores"]["consistency"]))
        for _, row in read_rows(DATA / f"summeval/ratings_{split}.jsonl.gz")
        if claim_spans(row["candidate"])
    ]


def consistency(models: Models) -> Iterator[Figure]:
    """Whether all three experts find a summary wholly consistent, told from its claims and from the whole of it.

    All predictors are calibrated on train, the models' by what members say of sources that they held out.
    """
    rows = {split: articles(split) for split in ("train", "validation")}
    whole = {split: [each.rated for each in found] for split, found in rows.items()}
    good = {split: np.array([float(each.consistency == 5) for each in found]) for split, found in rows.items()}
    claims = {
        split: [models.verified.told([each.summary], each.rated.request.view, each.source)[0] for each in found]
        for split, found in rows.items()
    }
    verifier = models.verifier([row for each in whole["train"] for row in models.verified.questions(each)])
    support = {split: [means(verifier, each) for each in found] for split, found in claims.items()}
    bare = {split: [alone(row) for row in found] for split, found in whole.items()}

    def calibrated(value: Callable[[str], Sequence[float]]) -> np.ndarray:
        return logistic(np.array(value("train")), good["train"])(np.array(value("validation")))

    def of_whole(given: Mapping[str, Sequence[Rated]]) -> np.ndarray:
        model = models.fitted(given["train"])
        rewards = {split: model.rewards([row.request.group for row in found]) for split, found in given.items()}
        return calibrated(lambda split: [float(each.mean()) for each in rewards[split]])

    predicted = {
        "verifier, mean of claims": calibrated(lambda split: [float(each.mean()) for each in support[split]]),
        "verifier, least claim": calibrated(lambda split: [float(each.min()) for each in support[split]]),
        "whole summary beside the article": of_whole(whole),
        "summary alone": of_whole(bare),
        "cosine": calibrated(lambda split: [float(models.cosine(each).mean()) for each in claims[split]]),
        "word overlap": calibrated(lambda split: [float(overlap(each).mean()) for each in claims[split]]),
    }
    clusters = [each.source for each in rows["validation"]]
    yield from figures("SummEval: wholly consistent", good["validation"], clusters, predicted, "word overlap")


def rated(
    answer: Answer, source: str, text: str, outputs: Sequence[str], rater: str = "people", cluster: str = ""
) -> Rated:
    """Return an answer about outputs beside a whole text; what hangs together is one `cluster`, by default a source."""
    view = replace(TASK, passages=(Passage(text),))
    listed = tuple(Shown(f"output {at}", output) for at, output in enumerate(outputs))
    request = Request(cluster or source, source, Place(), answer.kind, view, listed)
    return Rated(request, Feedback(request.id, rater, answer))


# ---- SQuALITY ----


class Reviewed(NamedTuple):
    """A summary as one reviewer marked and rated it: pieces with a fault of content, correctness from 0 to 100."""

    story: str
    question: str
    system: str
    reviewer: str
    summary: str
    marks: ClaimMarks
    correctness: int

    @property
    def place(self) -> str:
        """The question about a story, whose answers hang together."""
        return f"{self.story}/{self.question}"


def reviews(split: str) -> list[Reviewed]:
    """Return all reviews; a piece counts that stands once in its summary and whose comment finds content at fault."""
    found = []
    for _, row in read_rows(DATA / f"squality/human_ratings_{split}.jsonl.gz"):
        text, spans = row["summary"], set()
        for each in row["critiques"]:
            piece = each["span"].strip()
            if piece and text.count(piece) == 1 and said(each["comment"]) == "fault":
                start = text.index(piece)
                spans.add((start, start + len(piece)))
        about = (row["story_id"], str(row["question_no"]), row["system"], str(row["annotator"]), text)
        found.append(Reviewed(*about, ClaimMarks(tuple(sorted(spans))), int(row["scores"]["correctness"])))
    return found


def stories(split: str) -> dict[str, str]:
    return {row["story_id"]: row["text"] for _, row in read_rows(DATA / f"squality/stories_{split}.jsonl.gz")}


def marked(models: Models, split: str) -> dict[str, list[Rated]]:
    """Return what reviewers said, by kind: marks claim by claim, ratings of correctness, comparisons by it.

    A claim is marked if any of the three reviewers marked it: mostly one of them did the marking.
    """
    text = stories(split)
    found: dict[str, list[Rated]] = defaultdict(list)
    by_reader: dict[tuple[str, str], list[Reviewed]] = defaultdict(list)
    of_all: dict[tuple[str, str, str], set[tuple[int, int]]] = defaultdict(set)
    for each in reviews(split):
        of_all[each.story, each.place, each.summary].update(each.marks.marks)
        rating = Rating(each.correctness + 1, 101)
        row = rated(rating, each.story, text[each.story], [each.summary], each.reviewer, each.place)
        found[rating.kind] += models.verified.questions(row)
        by_reader[each.place, each.reviewer].append(each)
    for (story, place, summary), spans in of_all.items():
        row = rated(ClaimMarks(tuple(sorted(spans))), story, text[story], [summary], cluster=place)
        found[ClaimMarks.kind] += models.verified.questions(row)
    for (place, reviewer), seen in by_reader.items():
        for one, other in combinations(seen, 2):
            if one.correctness != other.correctness and one.summary != other.summary:
                better, pair = Comparison(int(one.correctness < other.correctness)), [one.summary, other.summary]
                row = rated(better, one.story, text[one.story], pair, reviewer, place)
                found[better.kind] += models.verified.questions(row)
    return found


def marks(models: Models) -> Iterator[Figure]:
    """Whether a claim is left without a mark for its content by all three reviewers."""
    train, test = marked(models, "train"), marked(models, "validation")
    by_machines = {
        each.summary[start:end]
        for each in reviews("validation")
        if each.system != "human"
        for start, end in claim_spans(each.summary)
    }
    known, judged = ([judgement(row) for row in of[ClaimMarks.kind]] for of in (train, test))
    compared = [*train[Rating.kind], *train[Comparison.kind]]
    everything, without = models.verifier([*train[ClaimMarks.kind], *compared]), models.verifier(compared)
    for name, kept in (
        ("SQuALITY: claim without a mark", judged),
        ("SQuALITY: the same, machines' claims", [each for each in judged if each.claim.text in by_machines]),
    ):
        asked = [each.claim for each in kept]
        more = {
            "verifier, marks, ratings and comparisons": means(everything, asked),
            "verifier, ratings and comparisons alone": means(without, asked),
        }
        yield from measured(name, models, known, kept, train[ClaimMarks.kind], more)
    yield agreement("SQuALITY: claim without a mark", by_reviewer())


def by_reviewer() -> Iterator[tuple[str, tuple[str, str, int], str, bool]]:
    """Yield question, claim, reviewer and whether the claim is left without a mark."""
    for each in reviews("validation"):
        touched = {at for mark in each.marks.marks for at in about(each.summary, Span(*mark))}
        for at in range(len(claim_spans(each.summary))):
            yield each.place, (each.place, each.system, at), each.reviewer, at not in touched


def judgement(row: Rated) -> Judged:
    """Return a label of a claim as what is to be predicted; claims of one question hang together."""
    claim = ClaimBeside(
        row.request.source, row.request.shown[0].text, tuple(each.text for each in row.request.view.passages)
    )
    answer = row.feedback.answer
    assert isinstance(answer, Label)
    return Judged(claim, float(answer.good), row.request.node)


def comparisons(models: Models) -> Iterator[Figure]:
    """Which of two answers people prefer, told by the model of whole answers and with what the verifier says of claims.

    The rule over both is fitted on train, to scores of models that held the story out.
    """
    rows = {split: squality(split) for split in ("train", "validation")}
    model = models.fitted(rows["train"])
    verifier = models.verifier(marked(models, "train")[ClaimMarks.kind])
    columns = {split: margins(models, model, verifier, rows[split]) for split in rows}
    first = np.array([float(chosen(row) == 0) for row in rows["train"]])
    weights = fitted_weights(columns["train"], first)
    own = fitted_weights(columns["train"][:, :1], first)
    words_ = BagOfWords.fit(rows["train"])
    test = rows["validation"]
    every = {id(row) for row in test}
    machines = {id(row) for row in test if not {each.text for each in row.request.shown} & people()}
    roots = {id(row) for row in test if "plot" in row.request.view.instruction}
    for name, keep in (
        ("SQuALITY comparisons: all", every),
        ("SQuALITY comparisons: machine against machine", machines),
        ("SQuALITY comparisons: roots", roots),
        ("SQuALITY comparisons: roots, machine against machine", roots & machines),
    ):
        at = [place for place, row in enumerate(test) if id(row) in keep]
        kept = [test[place] for place in at]
        outcome = np.array([float(chosen(row) == 0) for row in kept])
        predicted = {
            "whole answers and their claims": expit(columns["validation"][at] @ weights),
            "whole answers": expit(columns["validation"][at][:, :1] @ own),
            "mean support of claims alone": expit(columns["validation"][at][:, 1] * np.sign(weights[1] or 1.0)),
            "bag of words": words_.probability([row.request for row in kept]) if words_ else np.full(len(kept), 0.5),
            "the longer wins": np.array([longer(row) for row in kept]),
        }
        clusters = [f"{row.request.source}/{row.request.view.instruction}" for row in kept]
        yield from choices(name, outcome, clusters, predicted, "whole answers")


@cache
def people() -> frozenset[str]:
    """Return the answers that people wrote."""
    return frozenset(
        row["chosen"] if row["chosen_system"] == "human" else row["rejected"]
        for _, row in read_rows(DATA / "squality/preferences_validation.jsonl.gz")
        if "human" in (row["chosen_system"], row["rejected_system"])
    )


def chosen(row: Rated) -> int:
    answer = row.feedback.answer
    assert isinstance(answer, Comparison) and answer.better is not None
    return answer.better


def longer(row: Rated) -> float:
    one, other = (len(words(each.text)) for each in row.request.shown)
    return 0.5 if one == other else float(one > other)


def margins(models: Models, model: LevelModel, verifier: ClaimVerifier, rows: Sequence[Rated]) -> np.ndarray:
    """Return the first's less the second's reward, mean and least logit of support, of each comparison, [rows, 3]."""

    @cache
    def support(source: str, view: View, text: str) -> tuple[float, float]:
        claims = models.verified.told([text], view, source)[0]
        found = logit(np.clip(means(verifier, claims), 1e-4, 1 - 1e-4)) if claims else np.zeros(1)
        return float(found.mean()), float(found.min())

    found = []
    for row, rewards in zip(rows, model.rewards([row.request.group for row in rows]), strict=True):
        one, other = (support(row.request.source, row.request.view, each.text) for each in row.request.shown)
        found.append((float((rewards[:, 0] - rewards[:, 1]).mean()), one[0] - other[0], one[1] - other[1]))
    return np.array(found)


def fitted_weights(columns: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the weights [columns] of a logistic without intercept, under a prior around the own score alone."""
    centre = np.eye(columns.shape[1])[0]

    def loss(weights: np.ndarray) -> float:
        margin = columns @ weights
        prior = 2.0 * ((weights - centre) ** 2).sum()
        return float(prior - (first * log_expit(margin) + (1 - first) * log_expit(-margin)).sum())

    return np.asarray(minimize(loss, centre).x)


def choices(
    name: str, outcome: np.ndarray, clusters: Sequence[str], predicted: Mapping[str, np.ndarray], base: str
) -> Iterator[Figure]:
    """Yield the accuracy of every predictor of choices, as `auc`, each beside that of the base."""
    for predictor, value in predicted.items():
        right, other = hits(value, outcome), hits(predicted[base], outcome)
        gain: Gain = (None, None, None)
        if predictor != base:
            more = interval(right - other, clusters, lambda drawn: float(drawn.mean()))
            gain = (float((right - other).mean()), *more)
        ends = interval(right, clusters, lambda drawn: float(drawn.mean()))
        common = (len(outcome), len(set(clusters)), float(outcome.mean()))
        sure = set(np.unique(value)) <= {0.0, 0.5, 1.0}  # a rule that gives no probabilities
        yield Figure(name, predictor, *common, float(right.mean()), *ends, *gain, None if sure else nll(value, outcome))


# ---- the table ----

SETS: dict[str, Callable[[Models], Iterator[Figure]]] = {
    "EntailmentBank": entailment,
    "REALSumm": coverage,
    "SummEval": consistency,
    "SQuALITY marks": marks,
    "SQuALITY comparisons": comparisons,
}


def number(value: float | None, form: str = ".3f") -> str:
    return "–" if value is None else f"{value:{form}}".replace("0.", ".", 1)


def line(each: Figure) -> str:
    """Return a row of the table."""
    ends = "" if each.auc_low is None else f" ({number(each.auc_low)} to {number(each.auc_high)})"
    gain = "–" if each.over is None else f"{number(each.over, '+.3f')}"
    gain += "" if each.over_low is None else f" ({number(each.over_low, '+.3f')} to {number(each.over_high, '+.3f')})"
    cells = (each.set, each.predictor, f"{each.n:,}", str(each.clusters), number(each.share, ".2f"))
    return "| " + " | ".join([*cells, f"{number(each.auc)}{ends}", gain, number(each.nll)]) + " |"


HEADS = ("set", "predictor", "n", "clusters", "share", "area or accuracy", "over the base", "NLL")


def main(arguments: Sequence[str] | None = None) -> None:
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("--only", default="", help="the sets with this in their names")
    asked.add_argument("--json", type=Path, help="a file for a row of every number")
    asked.add_argument("--tuned", metavar="BACKBONE", help="fine-tune this one, too: minilm, smollm, or a folder")
    asked.add_argument("--quick", action="store_true", help="EntailmentBank alone")
    options = asked.parse_args(arguments)
    if not DATA.is_dir():
        print(f"no real data in {DATA}: set RRM_DATA to the folder that has it")
        return
    only = "EntailmentBank" if options.quick else options.only
    models, rows = Models(options.tuned), list[Row]()
    print("| " + " | ".join(HEADS) + " |")
    print("|---" * len(HEADS) + "|")
    for name, measure in SETS.items():
        if only.lower() in name.lower():
            for each in measure(models):
                print(line(each), flush=True)
                rows.append(asdict(each))
            if options.json:
                options.json.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


if __name__ == "__main__":
    main()
