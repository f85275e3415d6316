"""A Dask cluster that somebody else began: credentials for its TLS, and who its workers are."""

import json
import subprocess
import sys
from pathlib import Path

_WORKERS = """
import json, sys
from distributed import Client
print(json.dumps([*Client(sys.argv[1]).scheduler_info(n_workers=-1)["workers"]]))
"""


def credentials(place: Path) -> tuple[list[str], dict[str, str]]:
    """Write credentials to a folder; return Dask's options for them, and a client's environment."""
    from distributed.security import Security

    made, options, environment = Security.temporary(), list[str](), dict[str, str]()
    for name in ("ca_file", "client_cert", "client_key"):
        file = place / name
        file.touch(0o600)
        file.write_text(getattr(made, f"tls_{name}"))
        options += [f"--tls-{name.removeprefix('client_').replace('_', '-')}", str(file)]
        setting = "CA_FILE" if name == "ca_file" else name.upper().replace("_", "__")
        environment[f"DASK_DISTRIBUTED__COMM__TLS__{setting}"] = str(file)
    return options, environment


def workers(address: str) -> list[str]:
    """Return the addresses of a cluster's workers, found in a process of its own, which leaves no loop in this one."""
    done = subprocess.run([sys.executable, "-c", _WORKERS, address], capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found
