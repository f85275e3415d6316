"""Looks for outputs that score high and may be bad, so that raters can be asked about them before a policy finds them.

An optimiser goes where scores are too high. Where nobody knows the truth, the members of an ensemble that agree on what
they were fitted to and differ on an output say that its score is a guess. What is found is put to raters (`questions`),
and what they say is fitted on, so that the region is no longer a guess.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rrm.core.errors import InputError
from rrm.core.ids import content_id, seed_for
from rrm.core.protocols import Policy, PromptContext, ProposeJob, Seen
from rrm.core.roles import Scorer, Train, for_improving
from rrm.core.values import OVERALL, Output, Request, Shown
from rrm.policy.scoring import group

Truth = Callable[[Seen, str], float | None]
"""Gold of a text at a node, None where it is not known: for simulations and reports alone."""


@dataclass(frozen=True)
class Suspect:
    """An output that scores high and may be bad, and the plain best one at its node.

    `score` is the members' mean acceptance and `spread` their standard deviation. `plain` is the output of greatest
    mean acceptance less its spread, which is what a cautious optimiser would choose. `gold` and `gold_of_plain` are
    None where the truth is not known, or was not asked.
    """

    seen: Seen
    output: Output
    score: float
    spread: float
    plain: Output
    gold: float | None = None
    gold_of_plain: float | None = None

    @property
    def context(self) -> PromptContext:
        return self.seen.prompt_context

    @property
    def excess(self) -> float | None:
        """By how much the score exceeds gold, in the unit of both."""
        return None if self.gold is None else self.score - self.gold


def search(
    policy: Policy,
    seen: Sequence[Seen],
    scorer: Scorer[Train],
    seed: int,
    candidates: int = 64,
    share: float = 0.1,
    most: int = 20,
    truth: Truth | None = None,
) -> list[Suspect]:
    """Return the most suspicious outputs, at most one a node and `most` in all, the worst first.

    At each node `candidates` outputs of the policy are drawn, and of the `share` of them that scores best, the one on
    which the members differ most is looked at. With a `truth` (only to be asked within a report) it is the one whose
    score exceeds its gold most. Raises InputError unless candidates >= 2, 0 < share <= 1 and most >= 1, and for a
    scorer of one member without a truth: nothing can differ there.
    """
    if candidates < 2 or not 0 < share <= 1 or most < 1:
        raise InputError(
            f"a search needs two candidates or more, a share in (0, 1] and one suspect or more, got {candidates}, "
            f"{share} and {most}"
        )
    scorer = for_improving(scorer)
    jobs = [
        ProposeJob(each.prompt_context, candidates, seed_for(seed, "search", each.prompt_context.node)) for each in seen
    ]
    drawn = [list({output.text: output for output in outputs}.values()) for outputs in policy.propose(jobs)]
    asked = [
        group(each.prompt_context, each.source, [output.text for output in outputs])
        for each, outputs in zip(seen, drawn, strict=True)
    ]
    found = []
    for each, outputs, said in zip(seen, drawn, scorer.score(asked), strict=True):
        acceptance = said.acceptance[OVERALL]
        if truth is None and len(acceptance) < 2:
            raise InputError(f"the scorer {scorer.name} has one member, and nothing to differ with: fit an ensemble")
        found.append(_worst(each, outputs, acceptance, share, truth))
    return sorted(found, key=_suspicion, reverse=True)[:most]


def _worst(seen: Seen, outputs: Sequence[Output], acceptance: np.ndarray, share: float, truth: Truth | None) -> Suspect:
    """Return the most suspicious of a node's outputs; `acceptance` is [members, outputs]."""
    mean, spread = acceptance.mean(axis=0), acceptance.std(axis=0)
    high = np.argsort(-mean, kind="stable")[: max(1, round(share * len(outputs)))]
    plain = outputs[int(np.argmax(mean - spread))]
    made = [
        Suspect(
            seen,
            outputs[at],
            float(mean[at]),
            float(spread[at]),
            plain,
            truth(seen, outputs[at].text) if truth else None,
            truth(seen, plain.text) if truth else None,
        )
        for at in high
    ]
    return max(made, key=_suspicion)


def _suspicion(suspect: Suspect) -> float:
    return suspect.spread if suspect.excess is None else suspect.excess


def questions(suspects: Sequence[Suspect]) -> list[Request]:
    """Return what raters are asked about suspects: whether each is good, and whether it is better than the plain one.

    Which of the two stands first is drawn by their ids.
    """
    asked = []
    for each in suspects:
        place, view, source = each.context.place, each.context.view, each.seen.source
        shown = Shown(each.output.id, each.output.text)
        asked.append(Request(each.context.node, source, place, "label", view, (shown,)))
        if each.plain.text != each.output.text:
            pair = (shown, Shown(each.plain.id, each.plain.text))
            turned = int(content_id("order", each.output.id, each.plain.id)[-1], 16) % 2
            asked.append(Request(each.context.node, source, place, "comparison", view, pair[::-1] if turned else pair))
    return asked
