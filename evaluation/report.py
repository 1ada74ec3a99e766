"""Writes the files of a report."""

import json

from rejoinder import storage
from rejoinder.evaluation.html import render_html
from rejoinder.evaluation.markdown import render_markdown
from rejoinder.evaluation.report_folder import FIGURES, REPORT, TABLES
from rejoinder.evaluation.results import Evaluation


def write_report(evaluation: Evaluation, folder: str) -> dict[str, str]:
    """Writes evaluation.html, evaluation.json and evaluation.md into an existing folder.

    Returns:
        The paths by what they hold: {"report": …, "figures": …, "tables": …}.
    """
    texts = {
        REPORT: render_html(evaluation),
        FIGURES: json.dumps(evaluation.to_json(), indent=2, ensure_ascii=False) + "\n",
        TABLES: render_markdown(evaluation),
    }
    paths = []
    for name, text in texts.items():
        paths.append(storage.join(folder, name))
        storage.write_bytes(paths[-1], text.encode())
    return dict(zip(("report", "figures", "tables"), paths, strict=True))
