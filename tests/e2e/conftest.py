"""What every end-to-end test may ask for; the helpers behind it live in weirtest/."""
import os
import pathlib

import pytest


@pytest.fixture(scope="session")
def weir_bin():
    path = pathlib.Path(os.environ.get("WEIR_BIN", "build/weir")).resolve()
    assert path.exists(), f"{path} is not there: ./dev build"
    return str(path)
