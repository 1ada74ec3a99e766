"""Which files in a report's folder `rejoinder evaluate` may write over."""

import json

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.output import resolve

# The figures, which show that this program wrote all three files, and their two forms.
FIGURES, REPORT, TABLES = FILES = ("evaluation.json", "evaluation.html", "evaluation.md")
_KEYS = {"format_version", "command", "ranking"}


def check_report_folder(folder: str) -> None:
    """Checks that a report may be written to a folder; its other files are not touched.

    Raises:
        UserError: The path cannot be meant, or one of the report's files is there and is not
            of this program.
    """
    resolve(folder)
    found = [name for name in FILES if storage.exists(storage.join(folder, name))]
    if found and not _is_report(storage.join(folder, FIGURES)):
        raise UserError(
            f"{folder}: holds {found[0]}, which `rejoinder evaluate` did not write; "
            "move it away or choose another --output"
        )


def _is_report(path: str) -> bool:
    if not storage.exists(path):
        return False
    try:
        return json.loads(storage.read_bytes(path)).keys() >= _KEYS
    except (ValueError, AttributeError):  # another program's
        return False
