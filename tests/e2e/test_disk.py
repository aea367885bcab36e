"""The disk of the state folder is full: the node serves, and nothing is billed twice or forgotten that need not be."""
import os
import subprocess

import pytest
from weirtest import traffic
from weirtest.lab import Lab
from weirtest.proc import wait_until

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
