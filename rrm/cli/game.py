"""A solved assistance game on the terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Console

from rrm.api.game import Plan, SolvedGame


def print_game(game: SolvedGame, console: Console | None = None) -> None:
    """Print what a game is worth, who does what where, and what it costs to take a person for another kind."""
    console = console or Console(highlight=False, markup=False, emoji=False)
    for line in _lines(game):
        console.print(line, soft_wrap=True)


def _lines(game: SolvedGame) -> Iterator[str]:
    gain = game.together - game.apart
    yield f"{game.name}: together {game.together:.5f}, apart {game.apart:.5f}; a gain of {gain:.5f}"
    yield from _plan("together", game.plan_together)
    yield from _plan("apart: the person as if alone, the agent by Bayes' rule", game.plan_apart)
    found = game.mistaken
    yield f"a person who errs (acts by exp({game.rationality:g} x worth)):"
    rows = (
        ("literal", found.literal_literal, found.literal_pedagogic),
        ("pedagogic", found.pedagogic_pedagogic, found.pedagogic_literal),
    )
    for kind, right, wrong in rows:
        other = "pedagogic" if kind == "literal" else "literal"
        yield f"  {kind}: {right:.5f}; taken for {other} {wrong:.5f}, {wrong - right:+.5f}"
    if game.unforeseen is not None:
        known, unknown = game.unforeseen
        yield f"  literal, of a taste: {known:.5f}; unforeseen by the agent {unknown:.5f}, {unknown - known:+.5f}"
    if game.deferring is not None:
        yield f"leaving the switch to a person gains {game.deferring:+.5f}"


def _plan(title: str, plan: Sequence[Plan]) -> Iterator[str]:
    yield f"  {title}"
    for each in plan:
        yield f"    theta {each.begin:.4f} to {each.end:.4f}: {each.act}, answered by {each.reply}"
