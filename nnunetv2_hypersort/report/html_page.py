"""Makes the report one HTML file that loads nothing from anywhere."""

import base64
import hashlib
import json
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from nnunetv2_hypersort import __version__
from nnunetv2_hypersort.report.content import ReportContent
from nnunetv2_hypersort.report.payload import page_payload

GENERATOR = "nnunetv2-hypersort report"
"""Stands in each report: by it a report is known as one that may be replaced."""
_SCRIPTS = (
    "core.js",
    "pictures.js",
    "colours.js",
    "map.js",
    "trajectory.js",
    "styles.js",
    "table.js",
    "line.js",
    "start.js",
)


def render_page(content: ReportContent) -> str:
    """The report as HTML.

    Names come from files of others. The template escapes what it writes, the scripts write text only as text, and the
    page's content security policy lets the browser run these very scripts and load nothing, should a name still get
    through.
    """
    environment = Environment(
        loader=PackageLoader(__package__, "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    ours = "\n".join(_page_file(name) for name in _SCRIPTS)
    scripts = [get_plotlyjs(), f'"use strict";\n(() => {{\n{ours}\n}})();\n']
    page = environment.get_template("report.html.j2").render(
        content=content,
        style_sheet=_page_file("report.css"),
        scripts=scripts,
        policy="default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; base-uri 'none'; "
        f"form-action 'none'; script-src {' '.join(_source_hash(script) for script in scripts)}",
        payload=_json_in_html(page_payload(content)),
        generator=GENERATOR,
        version=__version__,
        drawn=sum(picture.prediction is not None for picture in content.pictures.values()),
        worst=next((case for case in content.cases if case in content.ranking), None),
    )
    # Names of files may hold bytes that are no text.
    return page.encode("utf-8", "backslashreplace").decode("utf-8")


def _page_file(name: str) -> str:
    return (resources.files(__package__) / "page" / name).read_text(encoding="utf-8")


def _source_hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _json_in_html(payload: dict[str, Any]) -> str:
    # Inside a script element only `<` can end it or open a comment; as an escape it is the same JSON.
    return json.dumps(payload, ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
