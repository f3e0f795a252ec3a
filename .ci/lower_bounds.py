"""Print the lower bounds that a pyproject.toml states for the package's dependencies, as pip's constraints."""

import re
import sys
from pathlib import Path

# Python 3.10 has no reader for TOML; the list holds one quoted requirement a line.
text = Path(sys.argv[1]).read_text(encoding="utf-8")
(listed,) = re.findall(r"^dependencies = \[\n(.*?)^\]", text, flags=re.MULTILINE | re.DOTALL)
for name, version in re.findall(r'^\s*"([\w.-]+)>=([\d.]+)"', listed, flags=re.MULTILINE):
    print(f"{name}=={version}")
