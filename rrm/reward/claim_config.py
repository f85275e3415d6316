"""How models that judge claim by claim are fitted, and their learner's name: apart from torch, which takes seconds."""

from dataclasses import asdict, dataclass

from rrm.core.errors import InputError
from rrm.core.ids import content_id

FORMAT = 3
"""Of what such a model is made and saved."""


@dataclass(frozen=True)
class ClaimwiseConfig:
    """How it is fitted: `members` on bootstraps of sources, each without one of `folds`.

    `deficit_sd` and `worth_sd` are the standard deviations of the priors on the weights of deficits and of the
    `components` principal directions of units' vectors; at most `ratings` of each level are fitted on, drawn evenly.
    """

    members: int = 24
    folds: int = 4
    components: int = 24
    deficit_sd: float = 3.0
    worth_sd: float = 0.5
    ratings: int = 3000

    def __post_init__(self) -> None:
        if not 1 <= self.folds <= self.members or self.components < 0 or self.ratings < 1:
            raise InputError("1 <= folds <= members, components at least 0 and ratings at least 1 are needed")
        if not min(self.deficit_sd, self.worth_sd) > 0:
            raise InputError("deficit_sd and worth_sd are above 0")


def claimwise_name(encoder: str, config: ClaimwiseConfig) -> str:
    """Return the name of the learner of such models on an encoder of this name."""
    return content_id("claimwise", FORMAT, encoder, asdict(config))
