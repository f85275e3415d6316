"""Checking what is shipped against oracles, and anyone's part against the contracts that it claims to keep."""

from collections.abc import Iterator
from typing import Any

from rrm.api.plugins import load, make, named, takes
from rrm.api.runfile import with_changes
from rrm.backbone.tokens import load_tokenizer
from rrm.core.errors import ContractError, PluginError
from rrm.core.protocols import Assistant, Policy, SplitSampler
from rrm.verify.contracts import contracts_of
from rrm.verify.engines import MadeUpSupplies, MadeUpWorker
from rrm.verify.oracles.run import Answered, ask, ask_about


def oracles(path: str | None = None, method: str = "") -> Iterator[Answered]:
    """Ask all oracles about the methods that are shipped, one after the other; takes seconds.

    With the import string of a function, ask those that look at the method of a name about it, in that method's place.
    Raises InputError for a name of no method.
    """
    return ask() if path is None else ask_about(method, load(path))


def verify(
    plugin: str,
    changes: tuple[str, ...] = (),
    policy: str = "rrm.policy.extractive:Extractive",
    decomposer: str = "decomposers.segmenter:Segmenter",
) -> list[dict[str, Any]]:
    """Return for each contract that a part claims to keep the promises that hold, and what is broken (or None).

    `changes` are its arguments as key=value; one that takes an assistant is given a scripted one. `policy` is
    what an optimiser improves, and `decomposer` what one of decomposers does. Raises PluginError, ConfigError
    for a part that cannot be made.
    """
    worker = MadeUpWorker()
    part = _made(plugin, changes, worker=worker, others={}, supplies=MadeUpSupplies(worker))
    given: dict[str, dict[str, Any]] = {"policy": {"count": load_tokenizer().count}, "engine": {"worker": worker}}
    found = []
    for contract, check in contracts_of(part).items():
        if contract == "optimiser":
            given[contract] = {"sampler": _policy(policy)}
        elif contract in ("split optimiser", "outcome optimiser"):
            given[contract] = {"sampler": _sampler(decomposer)}
        try:
            promises, broken = check(part, **given.get(contract, {})).promises, None
        except ContractError as error:
            promises, broken = error.kept, str(error)
        found.append({"contract": contract, "promises": list(promises), "broken": broken})
    return found


def _policy(path: str) -> Policy:
    policy = _made(path, ())
    if not isinstance(policy, Policy):
        raise PluginError(f"{path} is no Policy that answers at once: name another with --policy")
    return policy


def _sampler(path: str) -> SplitSampler:
    """Return a decomposer that draws trees, its leaves small where it is told their size: so there is a choice."""
    small = ("leaf_tokens=60",) if takes(path, "leaf_tokens") else ()
    sampler = _made(path, small)
    if not isinstance(sampler, SplitSampler):
        raise PluginError(f"{path} is no SplitSampler, whose trees are drawn: name another with --decomposer")
    return sampler


def _made(plugin: str, changes: tuple[str, ...], **offered: Any) -> Any:
    arguments = with_changes({}, changes)
    offered["assistant"] = _assistant()
    return named(make(plugin, arguments, offered, "verify"), plugin, arguments)


def _assistant() -> Assistant:
    from rrm.assistants.langchain import LangChainAssistant
    from rrm.assistants.scripted_model import ScriptedChatModel

    return LangChainAssistant(ScriptedChatModel())
