"""A verifier of claims: how probable it is that a claim is supported by what it rests on.

It is any learner of reward models, taught claim by claim. A claim stands beside its origins, which the aligner finds in
what the raters saw, and nothing else, so that every claim is a short question of its own:

- marks on claims are labels: a claim without a mark is supported, one with a mark is not;
- all other feedback, such as labels and comparisons of whole outputs, stays as it is, beside the origins of all claims
  of the outputs shown, in the place of all that was shown.

So all kinds are fitted together, by the one likelihood. What is marked as missing tells nothing about a claim.

The aligner should name the nearest text however far it is, as `rrm.compose.align:Aligner(least=0)` does: beside no
text at all a claim says nothing that could be compared with those that rest on something.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rrm.core.claims import Claim, SeenText, about
from rrm.core.errors import InputError
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.protocols import ClaimAligner, ClaimBeside, RewardLearner, RewardModel, Start, Workspace
from rrm.core.roles import R, Ratings, for_fitting
from rrm.core.task import Span
from rrm.core.text import sentences
from rrm.core.values import (
    OVERALL,
    Answer,
    ClaimMarks,
    Group,
    Label,
    Output,
    Passage,
    Rated,
    Request,
    Score,
    Shown,
    View,
)
from rrm.reward.wrap import check_learner, inside

QUESTION = "Is the claim supported by the text?"
_MOST_TOKENS = 200


@dataclass(frozen=True, eq=False)
class ClaimVerifier:
    """A reward model that reads claims beside their origins; implements `rrm.core.protocols.Verifier`."""

    model: RewardModel = field(repr=False)

    @property
    def digest(self) -> str:
        return content_id("verifier", self.model.digest)

    def support(self, claims: Sequence[ClaimBeside]) -> list[Score]:
        """Return each claim's probability of support, one sample a member; equal claims have equal ones."""
        groups = [Group(each.source, Place(), beside(each.origins), (each.text,)) for each in claims]
        return [Score(said.acceptance[OVERALL][:, 0]) for said in self.model.predict(groups)]

    def save(self, folder: Path) -> str:
        return self.model.save(folder)


@dataclass(frozen=True)
class Verified:
    """Fits verifiers with a learner of reward models; implements `rrm.core.protocols.VerifierLearner`.

    `around` sentences before and behind an origin are read with it, for what "he" and "there" mean.
    """

    learner: RewardLearner
    aligner: ClaimAligner
    around: int = 0

    def __post_init__(self) -> None:
        check_learner(self.learner, "Verified")
        if self.around < 0:
            raise InputError(f"around is a number of sentences from 0 up, got {self.around}")

    @property
    def name(self) -> str:
        return content_id("verified", self.learner.name, self.aligner.name, self.around)

    def fit_claims(self, ratings: Ratings[R], place: Place, seed: int, workspace: Workspace) -> ClaimVerifier:
        """Fit the learner to all ratings, claim by claim; as `rrm.core.protocols.VerifierLearner` says."""
        rows = tuple(row for rated in for_fitting(ratings).rows for row in self.questions(rated))
        if not any(row.feedback.answer.accepted is not None for row in rows):
            raise InputError(
                "a verifier needs marks on claims, labels or ratings: comparisons alone do not say what is supported"
            )
        model = self.learner.fit(replace(ratings, rows=rows), Start(), place, seed, inside(workspace))
        return ClaimVerifier(model)

    def load(self, folder: Path) -> ClaimVerifier:
        return ClaimVerifier(self.learner.load(folder))

    def questions(self, rated: Rated) -> Iterator[Rated]:
        """Yield what a rating says of claims, each beside its origins in the view that the rater saw."""
        answer, request = rated.feedback.answer, rated.request
        if not isinstance(answer, ClaimMarks):
            told = self.told([shown.text for shown in request.shown], request.view, request.source)
            origins = tuple(dict.fromkeys(origin for each in told for claim in each for origin in claim.origins))
            yield _asked(rated, replace(request, view=beside(origins, request.view.instruction)), answer)
            return
        [shown] = request.shown
        marked = {at for mark in answer.marks for at in about(shown.text, Span(*mark))}
        for at, claim in enumerate(self.told([shown.text], request.view, request.source)[0]):
            own = (Shown(content_id("claim", shown.output, at), claim.text),)
            yield _asked(
                rated, replace(request, kind=Label.kind, view=beside(claim.origins), shown=own), Label(at not in marked)
            )

    def told(self, texts: Sequence[str], view: View, source: str) -> list[list[ClaimBeside]]:
        """Return the claims of each text, beside what they rest on in a view."""
        seen = [SeenText(passage.text, str(number)) for number, passage in enumerate(view.passages)]
        outputs = [Output("", text, "", 0) for text in texts]
        cut = [sentences(passage.text) for passage in view.passages]
        return [
            [self._beside(text, claim, view, cut, source) for claim in claims.claims]
            for text, claims in zip(texts, self.aligner.align(outputs, seen), strict=True)
        ]

    def _beside(self, text: str, claim: Claim, view: View, cut: Sequence[Sequence[Span]], source: str) -> ClaimBeside:
        origins = []
        for origin in sorted(claim.origins, key=lambda each: (int(each.output or 0), each.span)):
            passage = int(origin.output or 0)
            start, end = self._widened(origin.span, cut[passage])
            origins.append(view.passages[passage].text[start:end])
        return ClaimBeside(source, text[claim.span.start : claim.span.end], tuple(dict.fromkeys(origins)))

    def _widened(self, span: Span, cut: Sequence[Span]) -> Span:
        if not self.around:
            return span
        own = [at for at, (start, end) in enumerate(cut) if start < span.end and span.start < end]
        first, last = max(own[0] - self.around, 0), min(own[-1] + self.around, len(cut) - 1)
        return Span(cut[first].start, cut[last].end)


def beside(origins: Sequence[str], question: str = QUESTION) -> View:
    """Return the view beside which claims that rest on these texts are judged."""
    return View(question, tuple(Passage(origin) for origin in origins), _MOST_TOKENS)


def _asked(rated: Rated, request: Request, answer: Answer) -> Rated:
    """Return the same rater's answer to another request."""
    return replace(rated, request=request, feedback=replace(rated.feedback, request=request.id, answer=answer))
