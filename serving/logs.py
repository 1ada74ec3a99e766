"""The server's log: lines of text, or one JSON object a line.

What the start prints (addresses, the next command) is part of the log: in the text form
these lines are plain, for people and scripts.
"""

import datetime
import json
import logging
import os
import sys
import traceback

from rejoinder.serving.request_record import current_id

FORMATS = ("text", "json")
_start_logger = logging.getLogger("rejoinder.start")


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object: time, level, logger, message, and further fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record as one line."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        entry = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if request_id := current_id():
            entry["request_id"] = request_id
        if record.exc_info:
            entry["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(entry, ensure_ascii=False, default=str)


def configure(form: str, *, access_log: bool) -> None:
    """Sets up the log of this process.

    Args:
        form: `text` or `json`.
        access_log: Whether each request is logged.
    """
    if form == "json":
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter())
        logging.basicConfig(level=logging.INFO, handlers=[handler])
        logging.captureWarnings(True)
        # TensorFlow writes its own lines, which are not JSON, below this level.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    else:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        _start_logger.propagate = False
        plain = logging.StreamHandler(sys.stdout)
        plain.setFormatter(logging.Formatter("%(message)s"))
        _start_logger.handlers = [plain]
    _start_logger.setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    level = logging.INFO if access_log else logging.WARNING
    logging.getLogger("rejoinder.access").setLevel(level)


def announce(message: str) -> None:
    """Logs a line of the start."""
    _start_logger.info("%s", message)


def warn(message: str) -> None:
    """Logs a warning of the start."""
    if _start_logger.propagate:
        _start_logger.warning("%s", message)
    else:
        print(f"warning: {message}", file=sys.stderr, flush=True)
