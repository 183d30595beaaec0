"""A download goes on where it stopped, ends with the hub's own bytes or with one sentence, and sends nothing of ours."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from explorer.config import IMPORT_DIR
from explorer.model.towers import download, hub
from explorer.records import ExplorerError
from explorer.store.database import is_full
from tests.support.hub import COMMIT, Hub, serving

REPO, FILE = "some/model", "open_clip_model.safetensors"
DATA = np.random.default_rng(0).bytes(3_000_000)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as found:
        monkeypatch.setenv("HF_ENDPOINT", found.url)
        monkeypatch.setattr(download, "WAITS", (0.01,) * 6)
        found.add(REPO, FILE, DATA)
        yield found


def remote() -> hub.Remote:
    found = hub.look_up(REPO, FILE)
    assert found is not None
    return found


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob(".*.part"))


def test_the_hub_says_size_and_digest_before_a_byte_is_fetched(served: Hub) -> None:
    found = remote()
    assert (found.size, found.digest, found.revision) == (len(DATA), hashlib.sha256(DATA).hexdigest(), COMMIT)
    assert [verb for verb, _, _ in served.asked] == ["HEAD"]
    assert hub.look_up(REPO, "open_clip_pytorch_model.bin") is None


def test_a_file_arrives_whole_with_bytes_and_speed_from_the_first_second(served: Hub, tmp_path: Path) -> None:
    served.rate = 3_000_000
    steps, began = [], time.monotonic()
    for step in download.fetch(remote(), tmp_path / FILE):
        steps.append((time.monotonic() - began, step))
    assert (tmp_path / FILE).read_bytes() == DATA and not parts(tmp_path)
    moving = [(when, step) for when, step in steps if step.rate > 0 and not step.verifying]
    assert moving[0][0] < 1 and moving[0][1].done > 0 and moving[0][1].eta is not None
    assert steps[-1][1].verifying and steps[-1][1].done == len(DATA)


def test_a_small_file_is_verified_by_gits_digest_and_a_renamed_repository_is_followed(
    served: Hub, tmp_path: Path
) -> None:
    served.add("new/name", "config.json", b'{"a": 1}')
    served.renamed["old"] = "new/name"
    found = hub.look_up("old", "config.json")
    assert found is not None and len(found.digest) == 40
    download.fetch_small(found, tmp_path / "config.json")
    assert (tmp_path / "config.json").read_bytes() == b'{"a": 1}'


def test_a_stopped_download_goes_on_where_it_stopped(served: Hub, tmp_path: Path) -> None:
    served.rate = 2_000_000
    steps = download.fetch(remote(), tmp_path / FILE)
    for step in steps:
        if step.done > 400_000:
            break
    began = time.monotonic()
    steps.close()  # what a cancelled job does
    assert time.monotonic() - began < 0.5
    kept = parts(tmp_path)[0].stat().st_size
    assert kept >= 400_000 and not (tmp_path / FILE).exists()
    time.sleep(0.3)
    assert parts(tmp_path)[0].stat().st_size == kept  # nobody writes on
    served.rate = 0
    list(download.fetch(remote(), tmp_path / FILE))
    assert served.starts() == [0, kept] and (tmp_path / FILE).read_bytes() == DATA


def test_a_stop_is_heard_at_once_where_the_hub_is_silent(served: Hub, tmp_path: Path) -> None:
    served.silent = True
    steps = download.fetch(remote(), tmp_path / FILE)
    next(steps), next(steps)
    began = time.monotonic()
    steps.close()
    assert time.monotonic() - began < 0.5
    served.silent = False


def test_lost_connections_are_taken_up_again(served: Hub, tmp_path: Path) -> None:
    served.cuts = [700_000, 100_000, 0, 0, 500_000]
    list(download.fetch(remote(), tmp_path / FILE))
    assert (tmp_path / FILE).read_bytes() == DATA
    assert served.starts() == sorted(served.starts()) and len(served.starts()) == 6 and served.starts()[-1] > 0


def test_a_connection_that_does_not_come_back_is_said_and_what_came_is_kept(served: Hub, tmp_path: Path) -> None:
    served.cuts = [700_000] + [0] * 9
    with pytest.raises(ExplorerError, match="connection was lost at 1 MB.*what came is kept"):
        list(download.fetch(remote(), tmp_path / FILE))
    assert parts(tmp_path)[0].stat().st_size > 0


def test_a_hub_without_ranges_sends_all_again(served: Hub, tmp_path: Path) -> None:
    served.ranges, served.cuts = False, [1_000_000]
    list(download.fetch(remote(), tmp_path / FILE))
    assert (tmp_path / FILE).read_bytes() == DATA


def test_other_bytes_than_promised_are_thrown_away(served: Hub, tmp_path: Path) -> None:
    served.spoiled = True
    with pytest.raises(ExplorerError, match="other bytes than the hub promised"):
        list(download.fetch(remote(), tmp_path / FILE))
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_bit_in_the_part_is_noticed(served: Hub, tmp_path: Path) -> None:
    found = remote()
    part = tmp_path / f".{FILE}.{found.digest[:16]}.part"
    part.write_bytes(bytes([DATA[0] ^ 1]) + DATA[1:2_000_000])
    with pytest.raises(ExplorerError, match="other bytes than the hub promised"):
        list(download.fetch(found, tmp_path / FILE))
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize(
    "status, said", [(401, "asks for an account"), (403, "asks for an account"), (429, "pause"), (500, "out of order")]
)
def test_each_refusal_is_one_sentence(served: Hub, tmp_path: Path, status: int, said: str) -> None:
    found = remote()
    served.status[FILE] = status
    for ask in (lambda: hub.look_up(REPO, FILE), lambda: list(download.fetch(found, tmp_path / FILE))):
        with pytest.raises(ExplorerError, match=said) as caught:
            ask()
        assert "\n" not in str(caught.value) and ";" in str(caught.value)


def test_a_file_that_went_meanwhile_and_no_network_are_said(served: Hub, tmp_path: Path) -> None:
    found = remote()
    served.files.clear()
    with pytest.raises(ExplorerError, match="404"):
        list(download.fetch(found, tmp_path / FILE))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        with pytest.raises(ExplorerError, match="127.0.0.1:9 cannot be reached"):
            hub.look_up(REPO, FILE)
        patch.setenv("HF_ENDPOINT", "http://hub.example")
        with pytest.raises(ExplorerError, match="not an https address"):
            hub.look_up(REPO, FILE)


def test_room_is_asked_for_before_the_first_byte(served: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 10_000_000))
    with pytest.raises(ExplorerError, match="needs 70 MB .* and 10 MB are free"):
        list(download.fetch(remote(), tmp_path / FILE))
    assert served.starts() == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_said_as_one_so_that_the_job_waits(served: Hub, tmp_path: Path) -> None:
    found = remote()
    (tmp_path / f".{FILE}.{found.digest[:16]}.part").symlink_to("/dev/full")
    with pytest.raises(ExplorerError, match="No space left.*resume") as caught:
        list(download.fetch(found, tmp_path / FILE))
    assert is_full(caught.value) and caught.value.__cause__.errno == errno.ENOSPC


def test_nothing_of_the_person_is_sent(served: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HUGGING_FACE_HUB_TOKEN", "hf_secret")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text("machine 127.0.0.1 login me password hf_secret\n")
    monkeypatch.setenv("HOME", str(home))
    list(download.fetch(remote(), tmp_path / FILE))
    for _, _, headers in served.asked:
        assert set(headers) <= {"host", "accept", "accept-encoding", "connection", "user-agent", "range"}
        assert "hf_secret" not in str(headers) and headers["user-agent"] == "hcmi-explorer"


KILLED = """
import sys
from pathlib import Path
from explorer.model.towers import download, hub
found = hub.look_up("some/model", "open_clip_model.safetensors")
for step in download.fetch(found, Path(sys.argv[1])):
    print(step.done, flush=True)
"""


def test_a_killed_process_leaves_a_part_to_go_on_from_and_no_child(served: Hub, tmp_path: Path) -> None:
    served.rate = 1_500_000
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / FILE)], stdout=subprocess.PIPE, cwd=IMPORT_DIR, text=True
    )
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) > 500_000:
            break
    own = [p for p in os.listdir("/proc") if p.isdigit()] if sys.platform == "linux" else []
    below = [p for p in own if _parent(p) == child.pid]
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert below == []  # the download is a thread: nothing outlives the process
    kept = parts(tmp_path)[0].stat().st_size
    served.rate = 0
    list(download.fetch(remote(), tmp_path / FILE))
    assert kept > 500_000 and served.starts()[-1] == kept and (tmp_path / FILE).read_bytes() == DATA


def _parent(process: str) -> int:
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1


def test_two_readers_never_write_one_part(served: Hub, tmp_path: Path) -> None:
    """A stopped reader that still waits for the network writes nothing once another has begun."""
    served.rate = 1_000_000
    for _ in range(5):
        steps = download.fetch(remote(), tmp_path / FILE)
        next(steps), next(steps)
        steps.close()
    served.rate = 0
    list(download.fetch(remote(), tmp_path / FILE))
    assert (tmp_path / FILE).read_bytes() == DATA
    assert sum(thread.name == "download" for thread in threading.enumerate()) <= 5
