"""Every plug-in that the package ships keeps its contracts; they are found by themselves, so a new one must too."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from inspect import getmembers, isabstract, isclass, isfunction, signature
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

import decomposers
import rrm.ask
import rrm.compose
import rrm.engines
import rrm.feedback
import rrm.policy
import rrm.raters
import rrm.reward
import tasks
from decomposers.chunks import Chunks
from decomposers.language_model import LanguageModelDecomposer
from decomposers.plans import LanguageModelPlanner
from decomposers.powering import Powering
from decomposers.questions import RecordedSteps
from decomposers.segmenter import Segmenter
from rrm.assistants.langchain import LangChainAssistant
from rrm.assistants.scripted_model import ScriptedChatModel
from rrm.backbone.tokens import load_tokenizer
from rrm.compose.align import Aligner
from rrm.compose.composers import LogLinear
from rrm.core.place import Place
from rrm.core.roles import Ratings, Train
from rrm.core.splits import HEAD
from rrm.core.task import Source
from rrm.core.values import Rated, Request, Shown, View
from rrm.engines.dask import Dask
from rrm.engines.local import Local
from rrm.engines.ray import Ray
from rrm.engines.remote import Remote
from rrm.policy.careless import Careless
from rrm.policy.conservative import Conservative
from rrm.policy.distil import Distilled
from rrm.policy.dpo import DPO
from rrm.policy.extractive import Extractive
from rrm.policy.interpolation import Interpolation, Mixed
from rrm.policy.kl_anchored import Tilted
from rrm.policy.language_model import LanguageModelPolicy
from rrm.policy.likelihood import Likelihood
from rrm.policy.local import LocalPolicy
from rrm.policy.quantilizer import Quantilizer
from rrm.policy.rating_tokens import RatingTokens
from rrm.policy.reweighted import Reweighted
from rrm.policy.rloo import RLOO
from rrm.policy.sft import SFT
from rrm.policy.tuned import Tuned
from rrm.raters.assistant import AssistantRater
from rrm.raters.simulated import SimulatedRaters
from rrm.reward.apart import Apart
from rrm.reward.blend import Blend
from rrm.reward.calibrated import Calibrated
from rrm.reward.criteria import ByCriterion
from rrm.reward.cross_fit import CrossFitted
from rrm.reward.dispersed import Dispersed
from rrm.reward.drawn import Drawn
from rrm.reward.frozen import Frozen
from rrm.reward.joint import Joint
from rrm.reward.splits import OutlineHead, SplitRewards
from rrm.reward.summed import Summed
from rrm.reward.tuned import Tuned as TunedModels
from rrm.reward.verifier import Verified
from rrm.verify import made_up
from rrm.verify.contracts import CONTRACTS, contracts_of
from rrm.verify.engines import MadeUpSupplies, MadeUpWorker
from tasks.books import BookFiles
from tasks.fact_chains import FactChains
from tasks.free_reader import FreelyReadBooks
from tasks.powering import Beginner, Powers, PowersKey
from tasks.questions import AnswerKey, Questions, RecordedPlans
from tasks.synthetic_book import SyntheticBooks
from tests.engines.fake import Fake
from tests.engines.test_apart import ABSENT
from tests.policy.policy_scenes import Known, early
from tests.reward.wrapper_problems import SharedWords

RECORDED = (str(Path(__file__).parents[2] / "examples" / "recorded" / "questions.jsonl"),)
PACKAGES = (
    rrm.ask,
    rrm.policy,
    rrm.raters,
    rrm.reward,
    rrm.compose,
    rrm.feedback,
    rrm.engines,
    decomposers,
    tasks,
)


def assistant() -> LangChainAssistant:
    return LangChainAssistant(ScriptedChatModel())


def local() -> LocalPolicy:
    return LocalPolicy("tiny", dtype="float32")


def books() -> BookFiles:
    path = Path(mkdtemp()) / "tale.txt"
    path.write_text(made_up.source().text, encoding="utf-8")
    return BookFiles([str(path)])


def outlined(text: str) -> str:
    """Return an outline of one part that begins with a text."""
    return (
        f"{HEAD}\n1 | {len(text.split())} words | a chapter | {' '.join(text.replace('|', ' ').split())} | It ended. | "
    )


def about_outlines() -> dict[str, Any]:
    """The made-up ratings and groups, outlines in the place of their outputs; without answers in raters' own words."""
    rows = [
        row for row in made_up.ratings(Train).rows if row.request.kind in ("comparison", "label", "rating", "ranking")
    ]
    shown = [tuple(replace(each, text=outlined(each.text)) for each in row.request.shown) for row in rows]
    asked = [replace(row.request, shown=each) for row, each in zip(rows, shown, strict=True)]
    rated = [
        Rated(request, replace(row.feedback, request=request.id)) for request, row in zip(asked, rows, strict=True)
    ]
    groups = [replace(group, outputs=tuple(map(outlined, group.outputs))) for group in made_up.groups()]
    return {"ratings": Ratings(Train, tuple(rated)), "groups": groups}


BRIEF = {"tune": "full", "learning_rate": 1e-3, "steps": 2, "kl_nodes": 2, "kl_samples": 2}
"""Trainings of a language model that are over soon."""

WORKER = MadeUpWorker()
"""Whose work engines do."""

MADE: dict[type, Callable[[], Any]] = {
    Segmenter: lambda: Segmenter(leaf_tokens=8, fan_in=(2, 2)),
    Chunks: lambda: Chunks(leaf_tokens=60),
    LanguageModelDecomposer: lambda: LanguageModelDecomposer(assistant()),
    LanguageModelPlanner: lambda: LanguageModelPlanner(assistant()),
    LanguageModelPolicy: lambda: LanguageModelPolicy(assistant()),
    LocalPolicy: lambda: local(),
    AssistantRater: lambda: AssistantRater(assistant()),
    SimulatedRaters: lambda: SimulatedRaters("tasks.synthetic_book:perceived_quality"),
    Conservative: lambda: Conservative(Quantilizer()),
    Interpolation: lambda: Interpolation(Quantilizer()),
    Mixed: lambda: Mixed(Careless(), Extractive(), 0.5),
    Reweighted: lambda: Reweighted(Careless(), Known(early), Tilted(0.1), 2, 9),
    Blend: lambda: Blend([Frozen(), CrossFitted(Frozen(members=2, folds=2))]),
    ByCriterion: lambda: ByCriterion(Frozen()),
    Calibrated: lambda: Calibrated(Frozen()),
    Apart: lambda: Apart(Frozen(), 2),
    CrossFitted: lambda: CrossFitted(Frozen()),
    TunedModels: lambda: TunedModels("tiny", members=2, epochs=1, dtype="float32"),
    Dispersed: lambda: Dispersed(Frozen()),
    Drawn: lambda: Drawn(SharedWords(), 4),
    Summed: lambda: Summed((Frozen(), CrossFitted(Frozen(members=2, folds=2)))),
    Verified: lambda: Verified(Frozen(), Aligner(least=0.0)),
    LogLinear: lambda: LogLinear(0.7, 0.3, 0.2, -0.1),
    BookFiles: books,
    SyntheticBooks: lambda: SyntheticBooks(2, 500),
    FreelyReadBooks: lambda: FreelyReadBooks(2, 500),
    FactChains: lambda: FactChains(3),
    Questions: lambda: Questions(RECORDED),
    AnswerKey: lambda: AnswerKey(RECORDED),
    RecordedSteps: lambda: RecordedSteps(RecordedPlans(RECORDED)),
    Distilled: lambda: Distilled(Beginner(), {"Say it.": "1"}),
    Local: lambda: Local(WORKER),
    Ray: lambda: Ray(WORKER, {}, MadeUpSupplies(WORKER)),
    Dask: lambda: Dask(WORKER, {}, MadeUpSupplies(WORKER)),
    Remote: lambda: Fake(WORKER, {}, MadeUpSupplies(WORKER)),
    **{kind: lambda kind=kind: kind(samples=4, **BRIEF) for kind in (Likelihood, RatingTokens, SFT, DPO, RLOO)},
}
"""How those are made that need arguments."""


def asked_of(question: str) -> list[Request]:
    """Return requests for labels and comparisons of answers to a question."""
    view, answers = View(question, (), 9), tuple(Shown(f"output-{at}", text) for at, text in enumerate(("yes", "3")))
    kinds = (("comparison", answers), ("label", answers[:1]), ("label", answers[1:]))
    return [Request("node", "source", Place(), kind, view, shown) for kind, shown in kinds]


def sources_of() -> dict[type, Source]:
    """The sources that decomposers of one kind of question are checked with."""
    return {Powering: Powers().sources()[-1], RecordedSteps: Questions(RECORDED).sources()[0]}


def requests_of() -> dict[type, list[Request]]:
    """The requests that raters who know the answers to some questions are checked with."""
    known = {AnswerKey: Questions(RECORDED).sources()[0].text, PowersKey: Powers().sources()[0].text}
    return {kind: asked_of(text.partition("\n\n")[0]) for kind, text in known.items()}


GIVEN: dict[str, Callable[[type], dict[str, Any]]] = {
    "policy": lambda kind: {"count": load_tokenizer().count},
    "optimiser": lambda kind: {"sampler": local() if issubclass(kind, Tuned) else Extractive()},
    "split optimiser": lambda kind: {"sampler": Segmenter(leaf_tokens=60, fan_in=(4, 3))},
    "outcome optimiser": lambda kind: {"sampler": Segmenter(leaf_tokens=60, fan_in=(4, 3))},
    "growing decomposer": lambda kind: {"source": sources_of()[kind]} if kind in sources_of() else {},
    "rater": lambda kind: {"requests": requests_of()[kind]} if kind in requests_of() else {},
    "engine": lambda kind: {"worker": WORKER},
    "learner": lambda kind: about_outlines() if kind in (OutlineHead, SplitRewards) else {},
}
"""What a contract is checked with, beside the part."""


def classes() -> Iterator[type]:
    for package in PACKAGES:
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(info.name)
            for name, kind in vars(module).items():
                own = isclass(kind) and kind.__module__ == info.name and not name.startswith("_")
                if own and not isabstract(kind):
                    yield kind


def claimed(kind: type) -> set[str]:
    """The contracts whose methods a class has."""
    found = set()
    for name, (protocols, _) in CONTRACTS.items():
        for protocol in protocols:
            methods = [key for key, _ in getmembers(protocol, isfunction) if key[0] != "_"]
            if not getattr(kind, "_is_protocol", False) and all(
                callable(getattr(kind, each, None)) for each in methods
            ):
                found.add(name)
    if {"learner", "composer learner"} <= found:
        found.remove("composer learner" if "start" in signature(kind.fit).parameters else "learner")  # type: ignore[attr-defined]
    return found


SHIPPED = sorted(
    ((kind, contract) for kind in classes() for contract in claimed(kind)), key=lambda each: (each[1], each[0].__name__)
)


@pytest.mark.parametrize(
    ("kind", "contract"),
    # Joint is Tuned in wrappers, each of which stands here by itself; Ray and Dask begin in the default tests elsewhere
    [pytest.param(*each, marks=pytest.mark.slow if each[0] in (Joint, Ray, Dask) else ()) for each in SHIPPED],
    ids=lambda each: each if isinstance(each, str) else each.__name__,
)
def test_a_part_that_we_ship_keeps_its_contract(kind: type, contract: str) -> None:
    if kind in (Ray, Dask):
        pytest.importorskip(
            "ray" if kind is Ray else "distributed", reason=ABSENT.format(kind.__name__.upper(), kind.__name__.lower())
        )
    part = MADE.get(kind, kind)()
    held = contracts_of(part)[contract](part, **GIVEN.get(contract, lambda _: {})(kind))
    assert held.contract == contract and len(held.promises) > 3


def test_all_kinds_of_parts_are_found() -> None:
    found = {contract for _, contract in SHIPPED}
    assert found >= CONTRACTS.keys() - {"optimiser"}
    names = {kind.__name__ for kind, _ in SHIPPED}
    assert {"Extractive", "Careless", "SimulatedRaters", "Frozen", "Mean", "LearnedJoin", "Matched", "Chunks"} <= names
    assert {"NestedQuestions", "BookFiles", "SyntheticBooks", "AssistantRater", "LanguageModelDecomposer"} <= names


def test_a_number_with_a_methods_name_makes_no_contract() -> None:
    assert list(contracts_of(Careless(rate=0.2))) == ["policy"]  # its `rate` is no method of a rater
