"""What an output was made from, as a policy that selects sentences knows it."""

from typing import NamedTuple

from rrm.core.task import Span


class Piece(NamedTuple):
    """A stretch of an output's text, and the sentences that it was made from.

    `span` counts characters of the output's text; `places` are numbers among the sentences of the view's passages, in
    the order shown (`rrm.core.text.sentence_texts`), several where equal sentences are shown. `mistaken` says
    that the policy made a mistake on purpose: a simulation's truth, which neither raters nor models are told.
    """

    span: Span
    places: tuple[int, ...]
    mistaken: bool = False
