"""Options of the server's command line."""

import pytest

from rejoinder.errors import UserError
from rejoinder.serving.options import read_origins


@pytest.mark.parametrize("text", ["example.org", "https://example.org/page", "ftp://a", ""])
def test_what_is_no_origin_is_refused(text):
    with pytest.raises(UserError, match="--cors-origin"):
        read_origins([text])
