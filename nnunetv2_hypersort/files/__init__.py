"""Files: written whole or not at all, linked, claimed, and worked on by several processes."""

from nnunetv2_hypersort.files.whole_or_absent import atomic_path, write_json, write_text

__all__ = ["atomic_path", "write_json", "write_text"]
