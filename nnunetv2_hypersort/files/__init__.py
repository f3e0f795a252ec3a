"""Files: written whole or not at all, locked, linked, claimed, as tables, and worked on by several processes."""

from nnunetv2_hypersort.files.whole_or_absent import atomic_path, changing_json, write_json, write_text

__all__ = ["atomic_path", "changing_json", "write_json", "write_text"]
