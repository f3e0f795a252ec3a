"""YAML that people write: read safely, with every mistake in one sentence."""

import os
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from nnunetv2_hypersort.errors import HyperSORTError

# Tags of keys that have no value of their own: `<<` and `=`.
_SPECIAL_KEYS = ("tag:yaml.org,2002:merge", "tag:yaml.org,2002:value")


def read_yaml(path: str | os.PathLike[str], where: str) -> Any:
    """Read a YAML file.

    Args:
        path: The file, in UTF-8.
        where: What the file is, for messages, such as `The spec mine.yaml`.

    Returns:
        Its content in plain Python types; None if it is empty.

    Raises:
        FileNotFoundError: There is no such file; the caller knows what could have been meant.
        HyperSORTError: It is no text file, not valid YAML, or gives a key twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise HyperSORTError(f"{where} cannot be read as a text file: {error}.") from error
    return parse_yaml(text, where)


def parse_yaml(text: str, where: str) -> Any:
    """Read YAML from a text; see `read_yaml`."""
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)
    except _KeyTwiceError as error:
        raise HyperSORTError(f"{where}, {error}") from None
    except Exception as error:  # PyYAML lets errors of Python through, as of a date with a 13th month
        problem = " ".join(str(error).split())[:300] or type(error).__name__
        raise HyperSORTError(f"{where} is not valid YAML: {problem}.") from error


class _KeyTwiceError(yaml.YAMLError):
    """A mapping has a key twice, of which plain PyYAML silently keeps the last."""


class _UniqueKeyLoader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> Any:
        # Here and not when the mapping is built: by then merge keys (`<<`) are spelt out, and a key that overrides a
        # merged one is no mistake.
        node = super().compose_mapping_node(anchor)
        first_lines: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            key = self._key(key_node)
            line = key_node.start_mark.line + 1
            if key in first_lines:
                raise _KeyTwiceError(
                    f"line {line}: the key `{key_node.value}` stands there a second time, after line "
                    f"{first_lines[key]}; keep one of the two."
                )
            first_lines[key] = line
        return node

    def _key(self, node: yaml.Node) -> Hashable:
        # `a` and "a" are one key, and so are 1 and 0x1. Keys that are no scalars are refused when the mapping is built.
        if isinstance(node, yaml.ScalarNode) and node.tag not in _SPECIAL_KEYS:
            value: Hashable = self.construct_object(node)
            return value
        return node.tag if isinstance(node, yaml.ScalarNode) else id(node)
