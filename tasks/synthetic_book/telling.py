"""Writing a book: who is there, what happens next, and the sentences that tell it."""

from random import Random

from rrm.core.ids import seed_for
from rrm.core.task import Source
from tasks.synthetic_book.actions import ACTIONS, CRIMES, MINOR, ORDINARY, PLOT, RUMOURED
from tasks.synthetic_book.book import Book, Told
from tasks.synthetic_book.events import Core, Event
from tasks.synthetic_book.filler import FILLER
from tasks.synthetic_book.frames import AT, BECAUSE_AFTER, BECAUSE_BEFORE, CLOSERS, OPENERS, THEREFORE
from tasks.synthetic_book.grammar import SLOT, finish, grammar
from tasks.synthetic_book.judging import SENTENCE_WORDS
from tasks.synthetic_book.names import PLACE_KINDS, PLACE_NAMES, THING_MARKS, THINGS, mixed, names


def write_book(seed: int, index: int, words: int) -> Book:
    """Write book number `index` of a seed, of about so many words."""
    return _Teller(Random(seed_for("synthetic book", seed, index, words)), words).write()


class _Teller:
    """Writes one book from front to back."""

    def __init__(self, rng: Random, words: int) -> None:
        self.rng, self.words = rng, words
        self.grammar = grammar()
        self.names = names(rng)
        self.partner: dict[str, str] = {}
        self.cast: list[str] = []
        self.places = mixed(rng, PLACE_NAMES, PLACE_KINDS, 8 + words // 4000)
        self.things = [f"the {thing}" for thing in mixed(rng, THING_MARKS, THINGS, 10 + words // 3000)]
        self.motives: list[Event] = []
        self.used: set[Event | Core] = set()
        self.secrets: list[tuple[int, Event]] = []
        count = max(2, round(words / 4000))
        self.secrets_due = sorted(rng.uniform(0.03, 0.4) for _ in range(count))
        self.reveals_due = sorted(rng.uniform(0.78, 0.92) for _ in range(count))
        self.rumours: list[tuple[int, Event]] = []
        self.rumours_due = sorted(rng.uniform(0.05, 0.6) for _ in range(count))
        self.denials_due = [due + rng.uniform(0.1, 0.35) for due in self.rumours_due]
        self.fates: list[tuple[float, Event]] = []
        self.trifles_due = sorted(rng.uniform(0.0, 0.5) for _ in range(max(2, round(words / 1000))))
        self.told: list[Told] = []
        self.pieces: list[str] = []
        self.length = self.written = 0
        self.stale: list[int] = []
        self.here, self.present = self.places[:3], self.cast

    def write(self) -> Book:
        chapters = max(2, round(self.words / min(3000, max(350, self.words / 12))))
        breaks: list[int] = []
        for chapter in range(chapters):
            self._gather()
            if chapter:
                breaks.append(self.length)
            self._add(f"Chapter {chapter + 1}: {self.here[0]}")
            drift = self.rng.uniform(-0.15, 0.15) if chapter + 1 < chapters else -0.01
            while self.written < self.words * (chapter + 1 + drift) / chapters:
                self._paragraph()
        text = "".join(self.pieces).rstrip() + "\n"
        title = f"{self.things[0].title().replace('The ', 'The ', 1)} of {self.places[0]}"
        return Book(Source(title, text, tuple(breaks)), tuple(self.told))

    # ---- people and places ----

    def _gather(self) -> None:
        """Bring in newcomers, and choose who and what the chapter is about."""
        while len(self.cast) < 8 + self.words // 4000:
            pair = next(self.names).split("/")
            self.cast += pair
            if len(pair) == 2:
                self.partner |= {pair[0]: pair[1], pair[1]: pair[0]}
        self.here = self.rng.sample(self.places, 3)
        self.present = self.rng.sample(self.cast, self.rng.randint(5, 8))

    def _someone(self, *others: str) -> str:
        return self.rng.choice([name for name in self.present if name not in others])

    # ---- words on the page ----

    def _add(self, text: str, after: str = "\n\n") -> None:
        self.pieces.append(text + after)
        self.length += len(text) + len(after)
        self.written += len(text.split())

    def _paragraph(self) -> None:
        left = round((self.words - self.written) / SENTENCE_WORDS)
        count = min(self.rng.randint(3, 7), max(1, left))
        events = int(count * 0.43 + self.rng.random())
        kinds = [True] * events + [False] * (count - events)
        self.rng.shuffle(kinds)
        for at, is_event in enumerate(kinds):
            told = self._next_event() if is_event else None
            sentence = self._sentence(told) if told else self._filler()
            if told:
                self.told.append(Told(self.length, told))
            self._add(sentence, " " if at + 1 < count else "\n\n")

    def _filler(self) -> str:
        agent = self._someone()
        role = {"A": agent, "B": self._someone(agent), "T": self.rng.choice(self.things)}
        role["P"] = self.rng.choice(self.here)
        words = self._fresh_words()
        if self.rng.random() < 0.25 and words[0] != "“":
            more = self._fresh_words()
            words = more if more[0] == "“" else f"{words}; {more}"
        return finish(SLOT.sub(lambda match: role[match.group(1)], words))

    def _fresh_words(self) -> str:
        """Choose from a filler form that the last pages have not used."""
        fresh = [at for at in range(len(FILLER)) if at not in self.stale]
        at = self.rng.choice(fresh)
        self.stale = [*self.stale[-40:], at]
        return self.rng.choice(self.grammar.filler[at])

    def _sentence(self, event: Event) -> str:
        if event.instead_of:
            return self._reveal_sentence(event)
        if event.denied:
            return finish(self.rng.choice(self.grammar.denials).replace("{C}", self._clause(event)))
        rng = self.rng
        main, at = self._clause(event), "-"
        if event.place:
            at = f"{rng.choice(AT[:6])} {event.place}"
            main = f"{main} {at}" if rng.random() < 0.7 else f"{at}, {main}"
        opened = main.startswith(at) and "," in main
        if event.cause:
            return finish(self._with_cause(main, Event(*event.cause), opened))
        chance = rng.random()
        if chance < 0.3 and not opened:
            main = f"{rng.choice(OPENERS)}, {main}"
        elif chance < 0.5:
            main = f"{main} {rng.choice(CLOSERS)}"
        return finish(main)

    def _with_cause(self, main: str, cause: Event, opened: bool) -> str:
        rng = self.rng
        because, chance = self._clause(cause), rng.random()
        if chance < 0.65 or opened:
            opener = f"{rng.choice(OPENERS)}, " if chance < 0.1 and not opened else ""
            return f"{opener}{main}{rng.choice(BECAUSE_AFTER)}{because}"
        if chance < 0.85:
            return f"{rng.choice(BECAUSE_BEFORE)}{because}, {main}"
        return f"{because}{rng.choice(THEREFORE)}{main}"

    def _clause(self, event: Event) -> str:
        return self.rng.choice(self.rng.choice(self.grammar.clauses[event.action])).tell(event)

    def _reveal_sentence(self, event: Event) -> str:
        deed = self.rng.choice(self.rng.choice(self.grammar.active[event.action])).tell(event).removeprefix(event.agent)
        role = {"A": event.agent, "Z": event.instead_of}
        head = SLOT.sub(lambda match: role[match.group(1)], self.rng.choice(self.grammar.reveals))
        return finish(head + deed.lstrip())

    # ---- what happens next ----

    def _next_event(self) -> Event | None:
        progress = self.written / self.words
        if self.secrets_due and progress >= self.secrets_due[0]:
            self.secrets_due.pop(0)
            return self._secret()
        if self.secrets and self.reveals_due and progress >= self.reveals_due[0]:
            self.reveals_due.pop(0)
            return self._reveal()
        if self.rumours_due and progress >= self.rumours_due[0]:
            self.rumours_due.pop(0)
            return self._rumour()
        if self.rumours and progress >= self.denials_due[0]:
            self.denials_due.pop(0)
            return self._denial()
        if self.fates and progress >= self.fates[0][0]:
            return self._fated(self.fates.pop(0)[1])
        for _ in range(30):
            event = self._consequence() if self.motives and self.rng.random() < 0.3 else self._incident()
            if event is not None and self._is_new(event):
                return self._happen(event)
        return None

    def _happen(self, event: Event) -> Event:
        self.used |= {event, event.core}
        progress = self.written / self.words
        if event.importance == 1 and self.trifles_due and progress >= self.trifles_due[0]:
            self.trifles_due.pop(0)
            dues = [(self.rng.uniform(progress + 0.1, 0.97), event) for _ in range(self.rng.randint(2, 4))]
            self.fates = sorted([*self.fates, *dues])
        if ACTIONS[event.action].leads_to:
            self.motives = [*self.motives[-24:], event]
        if event.action == "murder":
            self._bury(event.other)
        return event

    def _bury(self, name: str) -> None:
        self.cast = [each for each in self.cast if each != name]
        self.present = [each for each in self.present if each != name]
        while len(self.present) < min(5, len(self.cast)):
            self._join(self.rng.choice([each for each in self.cast if each not in self.present]))

    def _join(self, name: str) -> None:
        self.present = [*self.present, name]

    def _is_new(self, event: Event) -> bool:
        return event.core not in self.used if event.importance > 1 else event not in self.used

    def _incident(self) -> Event | None:
        kind = self.rng.choices((PLOT, ORDINARY, MINOR), (0.15, 0.35, 0.5))[0]
        agent = self._someone()
        return self._make(self.rng.choice(kind), agent, self._someone(agent))

    def _consequence(self) -> Event | None:
        """Let an earlier event lead to another, or return None if whom it takes is gone."""
        motive = self.rng.choice(self.motives)
        action, _, roles = self.rng.choice(ACTIONS[motive.action].leads_to).partition(":")
        known = {"A": motive.agent, "B": motive.other}
        agent = known.get(roles[0]) or self._someone(*known.values())
        other = known.get(roles[1:]) or self._someone(agent, *known.values())
        if not {agent, other} <= set(self.cast) or agent == other:
            return None
        made = self._make(action, agent, other, motive.thing if motive.thing in self.things else "")
        return made._replace(cause=motive.core)

    def _fated(self, trifle: Event) -> Event | None:
        """Let a trifle of long ago lead to something that matters, or return None if nobody is there for it."""
        for _ in range(30):
            known = [name for name in (trifle.agent, trifle.other) if name in self.cast]
            agent = self.rng.choice(known or self.present)
            made = self._make(self.rng.choice(PLOT), agent, self._someone(agent))._replace(cause=trifle.core)
            if self._is_new(made):
                return self._happen(made)
        return None

    def _make(self, action: str, agent: str, other: str, thing: str = "") -> Event:
        slots = {slot for form in self.grammar.clauses[action] for slot in form[0].slots}
        if "H" in slots:
            thing = self.rng.choice(self.here)
        elif "T" in slots:
            thing = thing or self.rng.choice(self.things)
        else:
            thing = ""
        place = self.rng.choice(self.here) if "H" not in slots and self.rng.random() < 0.4 else ""
        if ACTIONS[action].mutual:
            agent, other = sorted((agent, other))
        return Event(action, agent, other if "B" in slots else "", thing, place)

    def _secret(self) -> Event | None:
        """Tell a crime with the wrong culprit, and remember whose it was: where possible, a namesake's."""
        for _ in range(30):
            namesakes = [name for name in self.cast if self.partner.get(name) in self.cast]
            agent = self.rng.choice(namesakes or self.present)
            culprit = self.partner.get(agent) or self._someone(agent)
            event = self._make(self.rng.choice(CRIMES), agent, self._someone(agent, culprit))
            true = event._replace(agent=culprit, place="", instead_of=agent)
            if self._is_new(event) and self._is_new(true):
                self.used |= {event.core, true.core}
                self.secrets.append((len(self.told), true))
                if event.action == "murder":
                    self._bury(event.other)
                return event
        return None

    def _rumour(self) -> Event | None:
        """Tell something that never happened, and remember to say so."""
        for _ in range(30):
            agent = self.rng.choice(self.present)
            event = self._make(self.rng.choice(RUMOURED), agent, self._someone(agent))._replace(place="")
            if self._is_new(event):
                denial = event._replace(denied=True)
                self.used |= {event.core, denial.core}
                self.rumours.append((len(self.told), denial))
                return event
        return None

    def _denial(self) -> Event:
        index, denial = self.rumours.pop(0)
        self.told[index] = self.told[index]._replace(taken_back=self.length)
        return denial

    def _reveal(self) -> Event:
        index, true = self.secrets.pop(self.rng.randrange(len(self.secrets)))
        self.told[index] = self.told[index]._replace(taken_back=self.length)
        return true
