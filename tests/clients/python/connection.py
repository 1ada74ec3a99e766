"""What the scripts of this folder share: the server's addresses, the texts, and the answer.

Each script is run by `tests/clients/test_python_clients.py` with the Python of
`make test-clients`. It embeds the texts of its standard input with one client library and prints
a JSON object: the vectors, [texts, dimensions], of each way to use the library.
"""

import json
import os
import sys

URL = os.environ["REJOINDER_URL"]
OPENAI_URL = f"{URL}/v1"
GRPC = os.environ["REJOINDER_GRPC"]
MODEL = os.environ["REJOINDER_MODEL"]
# Most libraries ask for a key; a server without keys ignores it.
KEY = os.environ["REJOINDER_KEY"] or "none"


def read_texts():
    """The texts to embed."""
    return json.load(sys.stdin)


def print_vectors(**uses):
    """Prints the vectors of each way to use the library."""
    json.dump(uses, sys.stdout)


def message_of(error, call):
    """The server's message in the error that a call must raise."""
    try:
        call()
    except error as raised:
        return raised.body["message"]
    raise AssertionError(f"no {error.__name__} was raised")
