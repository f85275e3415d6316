"""Tables of words as they stand in the files beside this one, and how they are read."""


def choices(text: str) -> tuple[str, ...]:
    return tuple(" ".join(choice.split()) for choice in text.split("|"))


def lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


def listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())
