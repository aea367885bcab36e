"""The disk of the state folder is full: the node serves, and nothing is billed twice or forgotten that need not be."""
import os
import subprocess
import time

import pytest
from weirtest import shadowsocks, traffic
from weirtest.lab import Lab
from weirtest.peers import Outbound
from weirtest.proc import free_port, wait_until
from weirtest.ss_manager import Client, Manager

pytestmark = [pytest.mark.quick]


class Disk:
    """A file system of two megabytes."""

    def __init__(self, path):
        self.path, self.ballast = path, os.path.join(path, "ballast")
        os.makedirs(path)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", path], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("this user may not mount")

    def fill(self):
        with open(self.ballast, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(bytes(4096))
            except OSError:
                pass

    def clear(self):
        os.unlink(self.ballast)


@pytest.fixture
def disk(tmp_path):
    d = Disk(str(tmp_path / "disk"))
    yield d
    # Lazily: the node that uses it is stopped by another fixture.
    subprocess.run(["umount", "-l", d.path], check=True)


def lab_on(disk, procs, cert):
    return Lab(procs, cert, ["vless-raw"], top={"State": {"Dir": os.path.join(disk.path, "state"), "SyncSeconds": 1}})


def test_a_node_starts_without_room_for_its_state(disk, procs, cert, target):
    disk.fill()
    lab = lab_on(disk, procs, cert)
    user = lab.user()
    way = lab.until_served(lab.client("vless-raw", "weir", user), target, user)
    assert "no room in" in lab.node.proc.text()
    user.moved(traffic.download(way, target, 1 << 20, 1))
    user.assert_billed()
    disk.clear()
    wait_until("the node to return to its folder", lambda: "reports are kept there from now on" in lab.node.proc.text())
    user.moved(traffic.upload(way, target, 1 << 20, 2))
    user.assert_billed()
    assert lab.node.proc.text().count("no room in") == 1
    # In order, and again: the folder is like any other by now.
    user.moved(traffic.download(way, target, 1 << 20, 3))
    lab.node.stop()
    assert lab.panel.traffic(user.id) == (user.up, user.down)
    lab.node.start()
    user.moved(traffic.download(way, target, 1 << 20, 4))
    lab.node.proc.kill()
    lab.node.start()
    user.assert_billed()


def test_what_a_crash_left_on_a_full_disk_is_billed_as_soon_as_there_is_room(disk, procs, cert, target):
    lab = lab_on(disk, procs, cert)
    user = lab.user()
    way = lab.until_served(lab.client("vless-raw", "weir", user), target, user)
    user.assert_billed()
    disk.fill()
    user.moved(traffic.download(way, target, 1 << 20, 1))
    lab.node.proc.kill()
    lab.node.start()
    user.moved(traffic.echo(way, target, b"served all the same"))
    disk.clear()
    user.assert_billed()
    user.moved(traffic.download(way, target, 1 << 20, 2))
    user.assert_billed()
    lab.node.stop()
    assert not [n for n in os.listdir(os.path.join(disk.path, "state")) if n.startswith(("foreign", "damaged"))]


def test_all_subscribers_are_told_once_while_the_ledger_has_no_room(disk, procs, target):
    at = os.path.join(disk.path, "manager.json")
    method, port = "aes-256-gcm", free_port()
    m = Manager(procs, method=method, state_file=at)
    gone = Client(m.socket, procs.folder)
    assert gone.add(port, "secret") == "ok"
    gone.close()
    way = shadowsocks.client("weir", procs, Outbound("shadowsocks", port, "secret", method=method))
    moved = sum(traffic.upload(way, target, 400_000, 1))
    time.sleep(2)  # a report that is ready, and nobody to take it
    m.proc.stop()
    m = Manager(procs, method=method, state_file=at, stat_subscribers="all")
    disk.fill()
    clients = [Client(m.socket, procs.folder) for _ in range(2)]
    for c in clients:
        assert c.ask("ping") == "pong"
    wait_until("the ledger's complaint", lambda: m.proc.text().count("a report has to wait") > 3)
    disk.clear()
    moved += sum(traffic.upload(way, target, 300_000, 2))
    for c in clients:
        c.collect(port, moved)
        time.sleep(2)
        c.ask("ping")
        assert c.moved[port] == moved
        c.close()
