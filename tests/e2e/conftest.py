"""What every end-to-end test may ask for; the helpers behind it live in weirtest/."""
import os
import pathlib

import pytest

from weirtest.certs import Cert
from weirtest.proc import Procs
from weirtest.targets import HashServer, UdpEcho

RUNNING = pytest.StashKey[list]()


@pytest.fixture(scope="session", autouse=True)
def weir_bin():
    path = pathlib.Path(os.environ.get("WEIR_BIN", "build/weir")).resolve()
    assert path.exists(), f"{path} is not there: ./dev build"
    os.environ["WEIR_BIN"] = str(path)
    return str(path)


def _procs(request, folder):
    procs = Procs(folder)
    request.config.stash.setdefault(RUNNING, []).append(procs)
    yield procs
    request.config.stash[RUNNING].remove(procs)
    wrong = procs.stop_all()
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


@pytest.fixture
def procs(request, tmp_path):
    """Starts processes; they end with the test."""
    yield from _procs(request, tmp_path)


@pytest.fixture(scope="module")
def module_procs(request, tmp_path_factory):
    """The same for all tests of a file."""
    yield from _procs(request, tmp_path_factory.mktemp("module"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the ends of all logs."""
    report = (yield).get_result()
    if report.failed:
        for procs in item.config.stash.get(RUNNING, []):
            for p in procs.all[-12:]:
                report.sections.append((f"log of {p.name}", p.tail()))


@pytest.fixture(scope="session")
def cert(tmp_path_factory):
    return Cert(str(tmp_path_factory.mktemp("cert")), "weir.test")


@pytest.fixture(scope="session")
def target():
    server = HashServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def udp_target():
    server = UdpEcho(4)
    yield server
    server.close()
