"""Models of the Hugging Face hub by name: a copy on this machine, or a download, or one sentence within seconds."""

from collections.abc import Sequence
from pathlib import Path

from rrm.core.errors import InputError

SECONDS = 5.0
"""How long the hub has to say whether it knows a model; the download itself may take as long as it needs."""


def model_folder(name: str, what: str, files: Sequence[str], sign: str) -> Path:
    """Return the folder that a name stands for: a folder, or else the hub's model, of which these files are fetched.

    `files` are patterns, `what` says in messages what is looked for, such as "backbone". A copy in the user's cache is
    taken as it is if it has a file of the pattern `sign`, which one that another program fetched in part has not;
    otherwise the hub is asked once, without retries, whether it has the model, before anything is fetched. Raises
    InputError if there is no such folder or model, or if the hub cannot be asked (HF_HUB_OFFLINE).
    """
    if not name.strip():
        raise InputError(
            f"the name of the {what} is empty: name `minilm`, `smollm`, `tiny`, a folder, or a Hugging Face name"
        )
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise InputError(f"no folder {name}: a {what} is `minilm`, `smollm`, `tiny`, a folder, or a Hugging Face name")
    from huggingface_hub import HfApi, snapshot_download

    cached = _cached(name, what, files)
    if cached is not None and any(cached.glob(sign)):
        return cached
    try:
        HfApi().model_info(name, timeout=SECONDS)
        return Path(snapshot_download(name, allow_patterns=list(files)))
    except Exception as error:  # of the hub, of the connection, of the disk: each library below has its own
        if cached is not None:
            return cached
        raise InputError(f"no {what} {name!r}: it is not on this machine, and {_why(error)}") from error


def _cached(name: str, what: str, files: Sequence[str]) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(files), local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"no {what} {name!r}: there is no such folder, and no model can be called so") from error


def _why(error: Exception) -> str:
    from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError

    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE forbids to ask the Hugging Face hub"
    if isinstance(error, GatedRepoError):
        return "it is gated: accept its terms on the hub's page and log in (`hf auth login`)"
    if isinstance(error, RepositoryNotFoundError):
        return "the Hugging Face hub has no such model, or shows it to those alone who log in (`hf auth login`)"
    return (
        f"the Hugging Face hub could not be read ({type(error).__name__}): see to the connection, or name `minilm`,"
        " `smollm` or a folder"
    )
