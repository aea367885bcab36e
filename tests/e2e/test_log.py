"""The log of a running node: put aside at its size, compressed, few of them kept."""
import gzip
import os

import pytest
from weirtest.node import Node, entry
from weirtest.proc import free_port, wait_until

pytestmark = [pytest.mark.quick]


def test_a_log_is_put_aside_at_its_size_and_written_on(procs, tmp_path):
    log = tmp_path / "logs" / "weir.log"
    log.parent.mkdir()
    before = b"what was there\n" * 70000  # a little above 1 MB
    log.write_bytes(before)
    for day in range(1, 4):
        (log.parent / f"weir.log.2026010{day}T120000.000.gz").write_bytes(gzip.compress(b"old"))
    node = {"id": 1, "token": "t", "type": "vless"}
    node = Node(procs, [entry(f"http://127.0.0.1:{free_port()}", node)], [],
                Log={"Level": "info", "Output": str(log), "MaxSize": 1, "MaxBackups": 2, "MaxAge": 0})

    def aside():
        return sorted(f for f in os.listdir(log.parent) if f != "weir.log")

    wait_until("the file put aside and one old one kept",
               lambda: len(aside()) == 2 and aside()[1] > "weir.log.2026011" and aside()[1].endswith(".gz"), 20)
    assert aside()[0] == "weir.log.20260103T120000.000.gz"
    # Every line is in one of the two files.
    packed = gzip.decompress((log.parent / aside()[1]).read_bytes())
    assert packed.startswith(before)
    node.stop()
    text = packed + log.read_bytes()
    assert b"version" in text and b"SIGTERM: stopping" in log.read_bytes()
    assert oct(log.stat().st_mode & 0o777) == "0o640"
