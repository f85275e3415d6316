"""Joint reward models: source and output read together by one fine-tuned backbone, with a linear head per member.

On disk a model is an ordinary one-label checkpoint for sequence classification, whose head is the
mean of the members'; theirs lie beside it, with those of other levels on the same trunk, and what else we know in
`rrm.json`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor, nn

from rrm.backbone.classifier import Classifier, Head, load_classifier
from rrm.backbone.decoder import OUTPUTS_A_ROW, output_states, read_group
from rrm.backbone.layout import Row, Tokens, pack, packed_tokens
from rrm.backbone.memory import in_memory
from rrm.core.errors import ConfigError, InputError, LimitError
from rrm.core.kinds.parts import is_count
from rrm.core.place import Place
from rrm.core.values import OVERALL, Group, Prediction, View
from rrm.files import digest_of, durable, read_json, renamed
from rrm.reward.level_heads import OTHERS, head_tensors, put_heads
from rrm.reward.model import finite, preferred
from rrm.reward.windows import Long, Windows, check_long, flattened, pooled, source_letters, windows_of_view

FORMAT = 2
FACTS, HEADS = "rrm.json", "heads.safetensors"
ROW_TOKENS = 2048
"""Tokens of small groups that a CPU reads at once when it scores."""
LEAST_LENGTH = 8
"""Fewer tokens hold no source with an output beside the tokens that begin, part and end them."""

Pooling = Literal["last", "mean"]
"""Which of a decoder's states a head reads: that of the last token, or the mean over the output's."""

Progress = Callable[[int, int], None]
"""Called with what is done and what there is in all."""

Known = dict[bytes, np.ndarray]
"""The rewards, float64 [members], of what was read, by the digest of its tokens; or these with its state behind."""


@dataclass(frozen=True)
class Reading:
    """How a view and an output become tokens: the view's prompt, `separator`, the output, end of sequence.

    Encoders read prompt and output as a pair of texts instead. `long_sources` says what is done with rows of more than
    `max_length` tokens (None: what the backbone reads at once): "refuse" them, "truncate" the oldest end of their
    source, or read the output with "windows" of it, one after another, and pool the rewards
    (`rrm.reward.windows.pooled`). `pooling` says what a decoder's head reads: the state of the "last" token, as other
    programs do, or the "mean" of the states of the output's tokens; encoders have a way of their own. Raises
    ConfigError for anything else.
    """

    separator: str = ""
    max_length: int | None = None
    long_sources: Long = "refuse"
    pooling: Pooling = "last"

    def __post_init__(self) -> None:
        check_long(self.long_sources)
        if self.pooling not in get_args(Pooling):
            raise ConfigError(f"pooling is one of {', '.join(get_args(Pooling))}, got {self.pooling!r}")
        if self.max_length is not None and (not is_count(self.max_length) or self.max_length < LEAST_LENGTH):
            raise ConfigError(
                f"max_length is a whole number from {LEAST_LENGTH} up, or left out, got {self.max_length!r}"
            )


def check_length(reading: Reading, positions: int, backbone: str) -> None:
    """Raise InputError for a `max_length` that is more than the backbone reads."""
    if (reading.max_length or 0) > positions:
        raise InputError(f"max_length is {reading.max_length}, but {backbone!r} reads at most {positions} tokens")


class Padded(NamedTuple):
    """A batch for an encoder: everything its tokenizer made, int64 [outputs, tokens] each."""

    inputs: Mapping[str, Tensor]


class JointNet(nn.Module):
    """A backbone with a head of several members: packed rows or padded batches in, rewards out."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.model = classifier.model
        self.causal = classifier.causal
        self.autocast = classifier.autocast
        self.drawn = classifier.drawn

    @property
    def head(self) -> nn.Linear:
        found: nn.Linear = self.model.get_submodule(self.model.rrm_head)
        return found

    @property
    def trunk(self) -> Any:
        return self.model.base_model

    def keep_head(self, members: int) -> None:
        """Drop all rewards but the first so many."""
        head = self.head
        if head.out_features > members:
            kept = Head(head.in_features, members, bias=head.bias is not None).to(head.weight)
            with torch.no_grad():
                for name, parameter in kept.named_parameters():
                    parameter.copy_(head.get_parameter(name)[:members])
            self.model.set_submodule(self.model.rrm_head, kept)

    def forward(self, inputs: Row | Padded) -> Tensor:
        """Return rewards, at least float32 [members, outputs], in logits; outputs in the order given."""
        with torch.autocast(self.head.weight.device.type, torch.bfloat16, enabled=self.autocast):
            found: Tensor = (
                self.head(output_states(self.trunk, inputs))
                if isinstance(inputs, Row)
                else self.model(**inputs.inputs).logits
            )
            return found.T


@dataclass(frozen=True, eq=False)
class JointModel:
    """A trained joint reward model; implements `rrm.core.protocols.RewardModel`.

    `anchor` is added to a reward to give the logit of acceptance, where labels or ratings `anchored`
    the model. Rewards are calibrated: the logistic of a difference is the probability of being
    preferred. `seen` are the sources that it was fitted, or chosen and calibrated, on. Where other levels' ratings
    taught the trunk, too, their heads are `other_heads`: `heads.<level>.weight` [members, size], maybe `.bias`.
    """

    net: JointNet = field(repr=False)
    classifier: Classifier = field(repr=False)
    reading: Reading = Reading()
    place: Place = field(default_factory=Place)
    anchor: float = 0.0
    anchored: bool = False
    seen: tuple[str, ...] = field(default=(), repr=False)
    ratings: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    batch_tokens: int = 8192
    other_heads: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def members(self) -> int:
        return self.net.head.out_features

    @property
    def longest(self) -> int:
        """The most tokens that a source with an output may have."""
        return self.reading.max_length or self.classifier.positions

    @property
    def _limit(self) -> str:
        """The most tokens of a row, as it is called in an error; `max_length` alone can be raised."""
        most = f"max_length = {self.reading.max_length} tokens"
        return most if self.reading.max_length else f"the {self.longest} tokens that the backbone reads"

    # ---- texts to tokens ----

    def windows(self, items: Sequence[tuple[View, str]]) -> list[Windows]:
        """Return the token ids of each view with its output, as any other program would make them.

        Where they are too long and windows are asked for, there are several for an output. Raises LimitError, saying
        how many and what to do, if some are too long and are to be refused, or leave their source no room.
        """
        texts = [(view.prompt, text) for view, text in items]
        letters = [source_letters(view) for view, _ in items]
        average = self.reading.pooling == "mean"
        ids, sources = self.classifier.encode(texts, self.reading.separator, letters, average)
        limit, how = self.longest, self.reading.long_sources
        raisable = limit < self.classifier.positions
        long = [place for place, each in enumerate(ids) if len(each) > limit]
        if long and how == "refuse":
            longest = max(len(ids[place]) for place in long)
            ways = [*(["raise it"] if raisable else []), "shorten them"]
            raise LimitError(
                f"{len(long)} of {len(ids)} outputs with their sources have more than {self._limit} (the longest"
                f" {longest}): {', '.join(ways)}, or ask for windows or truncation (long_sources)"
            )
        found: list[Windows] = [[each] for each in ids]
        for at in _by_view(items, long).values():
            longest = max(at, key=lambda place: len(ids[place]))
            try:
                cut = windows_of_view(
                    [ids[place] for place in at], [sources[place] for place in at], limit,
                    1 if how == "truncate" else max(1, limit // 8),
                )  # fmt: skip
            except LimitError as error:
                size = len(ids[longest]) - sources[longest][1]
                mend = f"{'raise it or ' if raisable else ''}shorten the output"
                raise LimitError(
                    f"an output of {size} tokens ({items[longest][1][:40]!r}...) {error} within {self._limit}: {mend}"
                ) from error
            for place, windows in zip(at, cut, strict=True):
                found[place] = windows[-1:] if how == "truncate" else windows
        return found

    # ---- scoring ----

    def rewards(
        self, groups: Sequence[Group], progress: Progress | None = None, known: Known | None = None
    ) -> list[np.ndarray]:
        """Return for each group its calibrated rewards, float64 [members, k], in logits.

        Equal texts beside one view are read once, sources once for all outputs of a view. What is in `known` is not
        read again, and what is read is put there.
        """
        items, places = _distinct(groups)
        read, windows = self._read_once(items, self._read, progress, {} if known is None else known, self.members)
        found = pooled(torch.from_numpy(read), torch.from_numpy(windows)).numpy()
        return [found[:, each] for each in places]

    def states(self, groups: Sequence[Group], known: Known | None = None) -> list[np.ndarray]:
        """Return for each group what the heads read of its outputs, float64 [k, size].

        Of an output that is read with several windows of its source, the mean of theirs, each as much as the pooled
        reward follows it: with that a head's gradient is a state, too. What is in `known` is not read again, and what
        is read is put there: rewards, and its state behind them.
        """
        items, places = _distinct(groups)
        size = self.net.head.in_features
        kept = {} if known is None else known
        read, windows = self._read_once(items, self._read_states, None, kept, self.members + size)
        there = windows >= 0
        follows = np.where(there, read[: self.members].mean(axis=0)[windows], -np.inf)
        shares = np.exp(follows - follows.max(axis=1, keepdims=True, initial=-np.inf))
        shares /= shares.sum(axis=1, keepdims=True)
        found = np.einsum("ow,sow->os", shares, read[self.members :][:, windows])
        return [found[each] for each in places]

    def acceptance(self, groups: Sequence[Group]) -> list[np.ndarray]:
        """Return for each group, float64 [members, k], the probability that a rater accepts each output.

        Where nothing anchors the model, that of being preferred to the group's other outputs.
        """
        return [each.acceptance[OVERALL] for each in self.predict(groups)]

    def predict(
        self, groups: Sequence[Group], progress: Progress | None = None, known: Known | None = None
    ) -> list[Prediction]:
        """Return rewards and acceptance of each group in one pass, as `rewards` and `acceptance` say."""
        return [
            Prediction.overall(
                each, expit(each + self.anchor) if self.anchored else preferred(each, np.zeros_like(each), 0.0)
            )
            for each in finite(self.rewards(groups, progress, known))
        ]

    def _read_once(
        self,
        items: list[tuple[View, str]],
        read: Callable[[list[list[Tokens]]], np.ndarray],
        progress: Progress | None,
        known: Known,
        height: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what `read` says of every window of every item, [height, windows], and where each item's stand."""
        windows = self.windows(items)
        tokens, place = flattened(windows)
        names = [blake2b(each.tobytes(), digest_size=16).digest() for each in tokens]
        groups = [[at for at in group if names[at] not in known] for group in _together(items, windows)]
        groups = [group for group in groups if group]
        done = len(tokens) - sum(map(len, groups))
        self.net.eval()
        with torch.inference_mode():
            batches = in_memory(
                self._batches(groups, tokens),
                lambda groups: read([[tokens[at] for at in group] for group in groups]),
                _in_two, "sources" if self.net.causal else "outputs", lambda group: _too_large(tokens[group[0]]),
            )  # fmt: skip
            for batch, found in batches:
                known.update(zip((names[at] for group in batch for at in group), found.T, strict=True))
                done += sum(map(len, batch))
                if progress is not None:
                    progress(done * len(items) // len(tokens), len(items))
        return np.stack([known[name] for name in names], axis=1) if names else np.zeros((height, 0)), place

    def _batches(self, groups: list[list[int]], tokens: list[Tokens]) -> list[list[list[int]]]:
        """Return what is read at once: for an encoder outputs of like length, for a decoder `groups` of one source.

        A source with many outputs is read by itself; others, the shortest first, share a row while they fit.
        """
        if not self.net.causal:
            batches = length_batches([at for group in groups for at in group], tokens, self.batch_tokens)
            return [[[place] for place in each] for each in batches]
        sized = [(packed_tokens([tokens[place] for place in each]), each) for each in groups]
        room = ROW_TOKENS if self.net.head.weight.device.type == "cpu" else self.batch_tokens
        rows: list[list[list[int]]] = []
        left = 0
        for size, places in sorted(sized, key=lambda each: (each[0], each[1][0])):
            if len(places) > OUTPUTS_A_ROW or size > left or not rows:
                rows.append([])
                left = room
            rows[-1].append(places)
            left = 0 if len(places) > OUTPUTS_A_ROW else left - size
        return rows

    def _read(self, groups: list[list[Tokens]]) -> np.ndarray:
        """Return the rewards, float64 [members, outputs], of groups read at once."""
        return self._rewards(groups).double().cpu().numpy()

    def _read_states(self, groups: list[list[Tokens]]) -> np.ndarray:
        """Return rewards, and behind them what the heads read, float64 [members + size, outputs]."""
        taken: list[Tensor] = []
        handle = self.net.head.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
        try:
            rewards = self._rewards(groups)
        finally:
            handle.remove()
        states = torch.cat([each.flatten(0, -2) for each in taken])
        if len(states) != rewards.shape[1]:
            raise InputError(
                f"{type(self.net.model).__name__} has its head read more than one state an output, so nothing can be"
                " believed of its last layer: take another backbone, or leave out [rater] sampler"
            )
        return torch.cat([rewards.double(), states.double().T]).cpu().numpy()

    def _rewards(self, groups: list[list[Tokens]]) -> Tensor:
        device = self.net.head.weight.device
        if not self.net.causal:
            own = [each for group in groups for each in group]
            rewards: Tensor = self.net(self.classifier.padded(own, Padded, device))
            return rewards
        if len(groups) > 1:
            together: Tensor = self.net(pack(groups, device))
            return together
        with torch.autocast(device.type, torch.bfloat16, enabled=self.net.autocast):
            found: Tensor = self.net.head(read_group(self.net.trunk, groups[0], device))
        return found.T

    # ---- files ----

    def save(self, folder: str | Path) -> str:
        """Write the checkpoint with the tokenizer, the members' heads, and `rrm.json` last; return the digest."""
        from safetensors.torch import save_file

        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        with renamed(place) as fresh:
            self.classifier.save(fresh)
            save_file(head_tensors(self.net.head, [self.place.level]) | dict(self.other_heads), str(fresh / HEADS))
            facts = self.facts() | {"files": {name: _digest(fresh / name) for name in ("model.safetensors", HEADS)}}
            facts["digest"] = digest_of(facts)
            durable(fresh / FACTS, json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False).encode())
        return self.digest

    @property
    def digest(self) -> str:
        """Names the settings and every weight, 32 hexadecimal digits; reads all weights each time."""
        weights = blake2b(digest_size=16)
        for name, value in sorted({**self.net.model.state_dict(), **self.other_heads}.items()):
            weights.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            weights.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return digest_of({**self.facts(), "weights": weights.hexdigest()})

    def facts(self) -> dict[str, Any]:
        """Return what is known of the model beside its weights, as plain values."""
        plain = ("anchor", "anchored", "seen", "ratings", "members")
        facts: dict[str, Any] = {name: getattr(self, name) for name in plain} | {"place": str(self.place)}
        return facts | {"format": FORMAT, "reading": asdict(self.reading), "settings": dict(self.settings)}

    @classmethod
    def load(cls, folder: str | Path, device: str = "auto", dtype: str = "auto") -> "JointModel":
        """Open a saved model, or any one-label checkpoint for sequence classification made elsewhere.

        Raises InputError for a checkpoint with another number of labels or without a head, for files
        that were changed after we wrote them, and for configs that ask for code.
        """
        place = Path(folder)
        facts = read_facts(place)
        members = facts["members"] if facts else 1
        classifier = load_classifier(str(place), members, device, dtype, trained=True)
        net = JointNet(classifier)
        if not facts:
            return cls(net, classifier, Reading())
        heads = read_heads(place)
        put_heads(net.head, heads, [Place.parse(facts["place"]).level], members)
        others = {name: each for name, each in heads.items() if name.startswith(OTHERS)}
        kept = {name: facts[name] for name in ("anchor", "anchored", "ratings", "settings")}
        place_ = Place.parse(facts["place"])
        reading, seen = Reading(**facts["reading"]), tuple(facts["seen"])
        return cls(net, classifier, reading, place_, seen=seen, other_heads=others, **kept)

    def fold(self, source: str) -> int | None:
        """Return -1 for a source that was fitted on, None for any other: nothing is held out within."""
        return -1 if source in self.seen else None

    def holds_out(self, source: str) -> bool:
        """Say whether a source is new to the model."""
        return source not in self.seen

    def reading_long(self, how: Long) -> "JointModel":
        """Return the same model that reads sources which are too long in another way."""
        return replace(self, reading=replace(self.reading, long_sources=how))


def _distinct(groups: Sequence[Group]) -> tuple[list[tuple[View, str]], list[list[int]]]:
    """Return every view with every output once, and where each group's outputs are among them."""
    place: dict[tuple[str, str], int] = {}
    items: list[tuple[View, str]] = []
    for group in groups:
        for text in group.outputs:
            if (group.view.id, text) not in place:
                place[group.view.id, text] = len(items)
                items.append((group.view, text))
    return items, [[place[group.view.id, text] for text in group.outputs] for group in groups]


def _by_view(items: Sequence[tuple[View, str]], some: Sequence[int]) -> dict[str, list[int]]:
    """Return the places of all outputs of the views that some outputs are of, by view."""
    found: dict[str, list[int]] = {items[place][0].id: [] for place in some}
    for place, (view, _) in enumerate(items) if found else ():
        if view.id in found:
            found[view.id].append(place)
    return found


def _together(items: Sequence[tuple[View, str]], windows: Sequence[Windows]) -> list[list[int]]:
    """Return which of all windows, in order, are of one view and the same part of its source."""
    found: dict[tuple[str, int], list[int]] = {}
    parts = ((view.id, number) for (view, _), each in zip(items, windows, strict=True) for number in range(len(each)))
    for at, part in enumerate(parts):
        found.setdefault(part, []).append(at)
    return list(found.values())


def _in_two(group: list[int]) -> list[list[int]]:
    """Return halves of the outputs of one view; a single one is left as it is."""
    half = len(group) // 2
    return [group[:half], group[half:]] if half else [group]


def _too_large(tokens: Tokens) -> str:
    return (
        f"there is not enough memory to score one output with its source ({len(tokens)} tokens): lower max_length,"
        " take a smaller backbone, or another device"
    )


def length_batches(places: Sequence[int], tokens: Sequence[Tokens], budget: int) -> list[list[int]]:
    """Cut places, shortest texts first, into batches whose padded size stays within `budget` tokens."""
    batches: list[list[int]] = []
    for place in sorted(places, key=lambda each: (len(tokens[each]), each)):
        if batches and len(tokens[place]) * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches


def read_facts(place: Path) -> dict[str, Any] | None:
    """Return what `rrm.json` says of a saved model, None where there is none; refuse what was changed."""
    if not (place / FACTS).is_file():
        return None
    facts = read_json(place / FACTS)
    kept = {name: value for name, value in facts.items() if name != "digest"}
    if facts.get("format") != FORMAT:
        raise InputError(f"the reward model in {place} was written by another version of rrm: train it again")
    if digest_of(kept) != facts.get("digest"):
        raise InputError(f"{place / FACTS} was changed after it was written: its digest does not match")
    for name, digest in facts["files"].items():
        if not (place / name).is_file() or _digest(place / name) != digest:
            raise InputError(
                f"{place / name} is missing or was changed after it was written: its digest does not match"
            )
    return facts


def read_heads(place: Path) -> dict[str, Tensor]:
    """Return the heads of a saved model's members, as they are named in `rrm.reward.level_heads`."""
    from safetensors.torch import load_file

    heads: dict[str, Tensor] = load_file(str(place / HEADS))
    return heads


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return file_digest(opened, "sha256").hexdigest()
