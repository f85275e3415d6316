"""Every exception that rrm raises on purpose.

    RrmError
      InputError (ValueError)       bad file, text, row or option: the user mends it      exit 2
        ShapeError                  arrays or tensors that do not fit together
        ConfigError                 a run file: unknown key, wrong type, missing value
        PluginError                 an import string that does not lead to what was asked, or a part
                                    that returns what its protocol does not allow
        LimitError                  more than a stated limit allows; says which to raise
        LostRankError               a process that shares a training has ended, or is not reached
        ContractError               a part that breaks what its protocol promises, as `rrm verify` finds out
        RoleError                   a judge put to a use that its role does not allow
        MissingError (LookupError)  an id that nothing on record has
      AccessError (PermissionError) somebody who may not do this, or a token that does not count   exit 2
      ConflictError                 too late: an expired lease, a frozen level, a second answer    exit 2
      ProposalError (ValueError)    a decomposition that the gate refuses                 exit 2
      StoreError (OSError)          the record cannot be read or written                  exit 4
        LockedError                 another process writes to this run directory
        NewerStoreError             the record was made by a newer rrm
        UnreachableError            its database cannot be reached just now, which may be over in a moment
      AssistantError (RuntimeError) a model call failed for good                          exit 5
        BudgetError                 calls, tokens or money are used up
        SetupError                  every call would fail: a wrong key, an unknown model; the run stops
        MalformedAnswerError        an answer that could not be read as what was asked
        NoAnswerError               a reply without an answer: cut off among thoughts, refused, filtered, empty
        LostCallError               a call that a worker had under way when it was lost; it may have been paid for
      Waiting                       not a fault: people have yet to answer                exit 3
      Interrupted                   not a fault: somebody pressed Ctrl-C                  exit 130
        Terminated                  not a fault: it was sent SIGTERM or SIGUSR1           exit 143

A message is one sentence: what was wrong, where, and how to mend it.
"""


class RrmError(Exception):
    """Base of all errors that rrm raises on purpose; `exit_code` is what the CLI returns."""

    exit_code = 1


class InputError(RrmError, ValueError):
    """Something that the user gave cannot be used as it is."""

    exit_code = 2


class ShapeError(InputError):
    """Arrays or tensors that do not fit together."""


class ConfigError(InputError):
    """A run file or option with an unknown key, a wrong type or a missing value."""


class PluginError(InputError):
    """An import string that does not lead to what was asked for, or a part that breaks its protocol."""


class ContractError(InputError):
    """A part that breaks what its protocol promises; `kept` are the promises that it was found to keep before."""

    def __init__(self, message: str, kept: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.kept = kept


class LimitError(InputError):
    """Something larger than a stated limit; the message names the limit to raise."""


class LostRankError(InputError):
    """A process that shares a training has ended before it, or is not reached; the others end, too."""


class RoleError(InputError):
    """A judge put to a use that its role does not allow, such as optimising against the final one."""


class MissingError(InputError, LookupError):
    """An id that nothing on record has."""


class AccessError(RrmError, PermissionError):
    """Somebody may not do this, or showed a token that does not count."""

    exit_code = 2


class ConflictError(RrmError):
    """It came too late: the lease ran out, the level is frozen, the answer was given already."""

    exit_code = 2


class ProposalError(RrmError, ValueError):
    """A proposed decomposition that breaks a rule of the task graph."""

    exit_code = 2


class StoreError(RrmError, OSError):
    """The record of a run cannot be read or written."""

    exit_code = 4


class LockedError(StoreError):
    """Another process is writing to the same run directory."""


class NewerStoreError(StoreError):
    """The record was written by a newer version of rrm."""


class UnreachableError(StoreError):
    """The database of the record cannot be reached just now; nothing is known of what was about to be committed."""


class AssistantError(RrmError, RuntimeError):
    """A model call failed and will not be retried."""

    exit_code = 5


class BudgetError(AssistantError):
    """The calls, tokens or money that the run may spend are used up."""


class SetupError(AssistantError):
    """Every call would fail like this one: a wrong key, an unknown model or address, a missing package or variable.

    It stops the run at once and is not a result of the action that met it; the same command goes on once
    the set-up is mended.
    """


class MalformedAnswerError(AssistantError):
    """A model's answer that could not be read as what was asked for."""


class LostCallError(AssistantError):
    """A worker was lost while it made a model call, which may have been answered and paid for.

    `again` says whether it should be made again; not so one over which worker after worker was lost.
    """

    def __init__(self, message: str, again: bool = True) -> None:
        super().__init__(message)
        self.again = again


class NoAnswerError(AssistantError):
    """A model replied, and the reply holds no answer; `lack`, one of `rrm.core.replies.LACKS`, says why."""

    def __init__(self, message: str, lack: str = "empty") -> None:
        super().__init__(message)
        self.lack = lack


class Waiting(RrmError):
    """The run cannot go on before somebody answers; nothing is wrong."""

    exit_code = 3


class Interrupted(RrmError):
    """The run was stopped by hand; the message says how to go on."""

    exit_code = 130


class Terminated(Interrupted):
    """The run was stopped by SIGTERM or SIGUSR1; the message says how to go on."""

    exit_code = 143


def in_one_line(error: BaseException) -> str:
    """Return what an error says, in one line; an error of somebody else's may fail even at that."""
    try:
        said = " ".join(str(error).split())
    except Exception:
        said = ""
    return said or "it gives no reason"
