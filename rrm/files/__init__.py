"""Files that appear whole or not at all, JSON that is one object, and what is wrong with values that were read."""

from rrm.files.whole import digest_of, durable, read_json, renamed, sync_folder, write_json

__all__ = ["digest_of", "durable", "read_json", "renamed", "sync_folder", "write_json"]
