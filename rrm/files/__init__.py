"""Files that appear whole or not at all, and JSON that is one object."""

from rrm.files.whole import digest_of, durable, read_json, renamed, sync_folder, write_json

__all__ = ["digest_of", "durable", "read_json", "renamed", "sync_folder", "write_json"]
