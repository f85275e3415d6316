"""Optimisers in a module of their own that could ask who knows the truth."""

from tests.toys import LastWords, Texts


class Importing(LastWords):
    """One whose module imports a set of sources with their truth."""

    name = "importing"

    def asked(self) -> float | None:
        return Texts(["target"]).gold("target", None, "red.")


class ImportingWithin(LastWords):
    """One that imports it when it is needed."""

    name = "importing-within"

    def asked(self) -> float | None:
        from tests.toys import Texts as Known

        return Known(["target"]).gold("target", None, "red.")
