"""What request bodies are made of: strict fields that several routes take."""

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

DETAILS = frozenset({"both_bad", "diff", "source_spans"})
"""What is kept beside an answer because of what it says."""


class Body(BaseModel):
    """A request body: exactly these fields, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Nothing(Body):
    """A body that says nothing more than its route."""


Key = Annotated[str, Field(min_length=8, max_length=100, pattern=r"^[A-Za-z0-9_.:-]+$")]
Reason = Annotated[str, Field(min_length=1, max_length=2_000, pattern=r"\S")]
Scalar: TypeAlias = bool | int | float | Annotated[str, Field(max_length=1_000)] | None


def _not_ours(detail: dict[str, Scalar]) -> dict[str, Scalar]:
    if taken := detail.keys() & DETAILS:
        raise ValueError(f"{min(taken)} is worked out by the server")
    return detail


Detail = Annotated[dict[Annotated[str, Field(max_length=50)], Scalar], Field(max_length=20), AfterValidator(_not_ours)]
"""What a page adds to an answer, such as the time away from it."""
