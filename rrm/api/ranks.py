"""A worker's part in fits that several workers do as one process group: it leads one, or is a further rank.

Whoever leads does the whole fit, in a thread, and goes on answering meanwhile. Each training of it is shared: the run's
process brings what the training's folder holds to the others, who begin a process for it.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path
from shutil import rmtree
from typing import Any

from rrm.api import fit_states
from rrm.api.folder_parts import RANKS, STATES, Content, content_of, inside, read_content
from rrm.api.supplies import device
from rrm.core.errors import InputError, LostRankError
from rrm.engines.crossing import Line, Raised, message, read_actions, write_results
from rrm.pipeline.plan import AnyAction, Values
from rrm.reward.launch import LOG, FollowingRank
from rrm.reward.rendezvous import Rendezvous, own_address
from rrm.reward.train_log import LOG as LINES

QUIET_SECONDS = 300.0
"""A fit that nobody asks for so long is left: the run's process is gone."""
CHECK_SECONDS = 0.2
LEAVE_SECONDS = 8.0
"""So long a fit may take to end that is left."""

Fit = Callable[[AnyAction, "Lead"], tuple[Values | Exception, Sequence[Line]]]
"""Fits a model with other ranks; returns what came of it, and what was logged."""


class RankWork:
    """Answers what concerns fits of several ranks; `told` says how the work goes, and `own` is for its files alone."""

    def __init__(self, own: Path, fit: Fit, told: Callable[[], dict[str, object]]) -> None:
        self._own, self._fit, self._told = own, fit, told
        self._begun: set[str] = set()
        self._lead: Lead | None = None
        self._rank: FollowingRank | None = None
        self._followed = ""  # the folder of the training whose rank that is

    def answer(self, head: Mapping[str, Any], body: bytes) -> bytes:
        match head:
            case {"ranks": "lead", "fit": str(id_), "step": str(step)}:
                return self._begin(id_, step, head, body)
            case {"ranks": "ask", "wait": float() | int() as seconds}:
                return self._asked(seconds)
            case {"ranks": "gathered", "number": int(number)}:
                self._leading.gathered(number)
            case {"ranks": "follow", "folder": str(name)}:
                self._follow(name, head)
            case {"ranks": "leave", "fit": str(id_), "keeps": bool(keeps)}:
                self._leave(id_, keeps)
            case _:
                raise InputError(f"a rank is asked for {dict(head)}, which it cannot do")
        return message({"kept": True})

    @property
    def _leading(self) -> "Lead":
        if self._lead is None:
            raise InputError("a rank is asked for a fit that it does not lead")
        return self._lead

    def _begin(self, id_: str, step: str, head: Mapping[str, Any], body: bytes) -> bytes:
        """Begin a fit, once, from what was done before: here, or elsewhere, which is then asked for."""
        if self._lead is not None and self._lead.token == head["token"]:
            return message({"kept": True})
        work = inside(self._own, f"{RANKS}/{id_}")
        if head["state"] is not None and not work.is_dir():
            return message({"needs": [f"state/{id_}"]})
        if head["state"] is not None and id_ not in self._begun and content_of(work) != read_content(head["state"]):
            raise InputError("what a fit is to go on from did not arrive whole")
        [action] = read_actions(step, body)
        self._begun.add(id_)
        host = own_address(IPv4Network(head["network"]))
        self._lead = Lead(head["of"], host, head["token"], self._own, action, self._fit)
        return message({"kept": True})

    def _asked(self, seconds: float) -> bytes:
        if self._lead is not None:
            return self._lead.answer(seconds, self._told())
        failure = None if self._rank is None else self._rank.failure()
        lost = isinstance(failure, LostRankError)
        return message({"failed": None if failure is None else Raised.of(failure).said, "lost": lost})

    def _follow(self, name: str, head: Mapping[str, Any]) -> None:
        """Begin the process of a further rank, once, in a folder that was brought here."""
        if name == self._followed and self._rank is not None:
            return
        if self._rank is not None:
            self._rank.end()
        folder = inside(self._own, name)
        if content_of(folder) != read_content(head["content"]):
            raise InputError("what a rank needs of the first's did not arrive whole")
        if (own := device()) != head["device"]:
            raise InputError(
                f"it computes on {own}, and the first rank on {head['device']}: let workers of one kind fit"
            )
        host, port = head["at"]
        at = Rendezvous(host, port, head["of"], head["token"])
        self._rank, self._followed = FollowingRank(folder, head["rank"], at), name

    def _leave(self, id_: str, keeps: bool) -> None:
        """End what is done here of a fit; one who leads keeps what it would go on from."""
        if self._lead is not None:
            self._lead.leave()
        if self._rank is not None:
            self._rank.end()
        self._lead = self._rank = None
        if not keeps or id_ not in self._begun:  # else what it has of the fit is its own, and not another's
            self._begun.discard(id_)
            rmtree(inside(self._own, f"{RANKS}/{id_}"), ignore_errors=True)


class Lead:
    """A fit that this worker leads, in a thread; implements `rrm.core.protocols.Ranks`.

    `work` is where it works, with a folder of its action's name.
    """

    def __init__(self, count: int, host: str, token: str, own: Path, action: AnyAction, fit: Fit) -> None:
        self.count, self.host, self.token = count, host, token
        self.work = own / RANKS
        self._own, self._action = own, action
        self._copy = own / STATES / action.id
        self._saved: Content | None = None
        self._marks: tuple[tuple[str, int], ...] = ()
        self._gathering: dict[str, Any] | None = None
        self._number, self._gathered = 0, threading.Event()
        self._left, self._asked = False, time.monotonic()
        self._made: Values | Exception = LostRankError("the fit has not ended")
        self._lines: Sequence[Line] = ()
        self._thread = threading.Thread(target=self._do, args=(fit,), name="rrm fit", daemon=True)
        self._thread.start()

    def begin(self, folder: Path, port: int) -> None:
        content = {name: facts for name, facts in content_of(folder).items() if name not in (LOG, LINES)}
        self._gathered.clear()
        self._number += 1
        self._gathering = {
            "number": self._number, "folder": str(folder.relative_to(self._own)), "content": content,
            "at": [self.host, port], "device": device(),
        }  # fmt: skip
        while not self._gathered.wait(CHECK_SECONDS):
            self.check()

    def check(self) -> None:
        if self._left:
            raise LostRankError("another rank was lost")
        if time.monotonic() - self._asked > QUIET_SECONDS:
            raise LostRankError(f"nobody asked for this fit for {QUIET_SECONDS:g} seconds")

    def gathered(self, number: int) -> None:
        """Go on with a training, whose other ranks have begun."""
        if number == self._number:
            self._gathering = None
            self._gathered.set()

    def answer(self, seconds: float, told: Mapping[str, object]) -> bytes:
        """Wait so long for the end, and return what came of the fit, or how it goes and what it asks for."""
        self._asked = time.monotonic()
        self._thread.join(seconds)
        if not self._thread.is_alive():
            step, head = self._action.step, {"done": self._action.id, "log": list(self._lines)}
            return message(head, write_results(step, [self._made]))
        self._save()
        return message({**told, "gathering": self._gathering, "saved": self._saved})

    def leave(self) -> None:
        """End the fit; raise InputError where it does not end."""
        self._left = True
        self._thread.join(LEAVE_SECONDS)
        if self._thread.is_alive():
            raise InputError(f"a fit that was left has not ended within {LEAVE_SECONDS:g} seconds")

    def _do(self, fit: Fit) -> None:
        try:
            self._made, self._lines = fit(self._action, self)
        except Exception as error:
            self._made = error

    def _save(self) -> None:
        """Copy what the fit goes on from, if there is more of it than before."""
        work = self.work / self._action.id
        with suppress(FileNotFoundError):  # what a training needs no more, it removes
            if (now := fit_states.marks(work)) != self._marks and (content := fit_states.copied(work, self._copy)):
                self._saved, self._marks = content, now
