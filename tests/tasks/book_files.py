"""Books made for tests: files, EPUBs of any package, and what is left of a source without its skipped spans."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rrm.core.task import Source

XHTML = "application/xhtml+xml"
OPF = "http://www.idpf.org/2007/opf"
CONTAINER = '<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'


class Item(NamedTuple):
    """An entry of a package's manifest: where its file lies, what it is, more attributes; whether the spine has it."""

    href: str
    media: str = XHTML
    more: str = ""
    spine: str | None = ""


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def xhtml(body: str, head: str = "<title>A page</title>") -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"'
        f' xmlns:epub="http://www.idpf.org/2007/ops"><head>{head}</head><body>{body}</body></html>'
    )


def packed(
    items: Sequence[Item], members: Mapping[str, str | bytes], guide: str = "", name: str = "OEBPS/book.opf"
) -> bytes:
    """Return an EPUB: its manifest and spine in the order of the items, and files by their names in the archive."""
    manifest = "".join(
        f'<item id="i{n}" href="{item.href}" media-type="{item.media}" {item.more}/>' for n, item in enumerate(items)
    )
    spine = "".join(f'<itemref idref="i{n}" {item.spine}/>' for n, item in enumerate(items) if item.spine is not None)
    opf = (
        f'<package xmlns="{OPF}" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>A Tale</dc:title>'
        f"</metadata><manifest>{manifest}</manifest><spine>{spine}</spine>{guide}</package>"
    )
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", CONTAINER)
        archive.writestr(name, opf)
        for member, content in members.items():
            archive.writestr(member, content)
    return data.getvalue()


def pages(folder: Path, *bodies: str, head: str = "<title>A page</title>", **members: str | bytes) -> Path:
    """Write an EPUB whose documents have these bodies, and return its path; other members lie in its folder."""
    items = [Item(f"p{n}.xhtml") for n in range(len(bodies))]
    documents = {f"OEBPS/p{n}.xhtml": xhtml(body, head) for n, body in enumerate(bodies)}
    others = {f"OEBPS/{name.replace('_', '.')}": content for name, content in members.items()}
    return write(folder, "tale.epub", packed(items, documents | others))


def chapters(source: Source) -> list[str]:
    """The first line of each chapter but the first."""
    return [source.text[at:].split("\n")[0].strip() for at in source.breaks]


def left(source: Source) -> str:
    """The text without its skipped spans."""
    at, kept = 0, []
    for start, end in source.skipped:
        kept.append(source.text[at:start])
        at = end
    return "".join([*kept, source.text[at:]])
