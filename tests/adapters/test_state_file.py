"""The state file: nothing that happens to it may crash the gateway or lose what need not be lost."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuki2mqtt.adapters.state_codec import StateContents, read_state, render_state
from nuki2mqtt.adapters.state_dir import default_state_dir
from nuki2mqtt.adapters.state_file import (
    StateFile,
    instance_id,
    read_machine_id,
    read_memory,
    write_pairing,
)
from nuki2mqtt.errors import StateFileError, UnreadableBody
from nuki2mqtt.gateway.keypad_wishes import KeypadOperation, KeypadSyncs, KeypadWish
from nuki2mqtt.gateway.vocabulary import (
    BridgeMemory,
    BridgePaired,
    CloudDeviceMemory,
    DeviceMemory,
    Memory,
)
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.keypad_order import KeypadOp, KeypadPhase
from nuki2mqtt.model.schedule import DailyWindow, Schedule, Weekday
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_auth import AuthMode

LINK = "192.0.2.10:8080"
FRONT_DOOR = DeviceMemory("front_door", "Haustür", 4)
MEMORY = Memory(
    bridges={
        LINK: BridgeMemory(NukiId(0x0A1B2C3D), Secret("t0ken"), AuthMode.ENCRYPTED),
        "bridge.lan:8080": BridgeMemory(),
    },
    devices={NukiId(0x1A2B3C4D): FRONT_DOOR},
    retired_topics={"old_door": NukiId(1)},
    announced={"homeassistant/device/nuki2mqtt_1A2B3C4D/config": {"lock": "lock", "unlatch": "button"}, "ha/x": {}},
    keypad_wishes={
        "18233733061 1": KeypadWish(
            smartlock_id=18233733061,
            name="K\u00e4the",
            phase=KeypadPhase.UPDATE_PENDING,
            enabled=False,
            schedule=Schedule(
                begins=datetime(2026, 12, 1, 8, 30, tzinfo=UTC),
                weekdays=frozenset({Weekday.SUN, Weekday.MON}),
                daily=DailyWindow(480, 1085),
            ),
            code=Secret("839275"),
            auth_id="65219648fe00000000000d01",
            reason="not_confirmed",
            attempts=2,
            once=True,
            confirmed=datetime(2026, 12, 2, tzinfo=UTC),
        ),
        "18233733061 2": KeypadWish(smartlock_id=18233733061, name="Ben", phase=KeypadPhase.ACTIVE),
    },
    keypad_operations={
        "18233733061 1 1": KeypadOperation(
            wish_id="18233733061 1", smartlock_id=18233733061, op=KeypadOp.DISABLE, transaction='{"n":1}'
        )
    },
    keypad_syncs={"18233733061": KeypadSyncs(3, datetime(2026, 12, 2, tzinfo=UTC))},
    cloud_devices={NukiId(0x1A2B3C4D): CloudDeviceMemory(no_unlatch=True)},
)
LATER = Memory(devices={NukiId(2): DeviceMemory("garage", "Garage", 2)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def opened(folder: Path) -> Iterator[StateFile]:
    with StateFile(folder) as state:
        state.open()
        yield state


def saved(folder: Path, *memories: Memory) -> None:
    with StateFile(folder) as state:
        state.open()
        for memory in memories:
            state.save(memory)


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


# --- Writing and reading ------------------------------------------------------------------------------------


def test_the_first_start_makes_an_instance_and_says_nothing(folder: Path) -> None:
    with StateFile(folder) as state:
        first = state.open()
    assert first.memory == Memory()
    assert first.problems == ()
    assert len(first.seed) == 8
    assert len(first.callback_secret.reveal()) == 32
    with StateFile(folder) as state:
        assert state.open() == first


def test_what_is_saved_is_read_again(folder: Path) -> None:
    saved(folder, MEMORY)
    with StateFile(folder) as state:
        again = state.open()
    assert again.memory == MEMORY
    assert again.problems == ()


def test_a_name_that_utf8_cannot_write_is_kept(folder: Path) -> None:
    memory = Memory(devices={NukiId(1): DeviceMemory("door", "half \ud83d", 4)})
    saved(folder, memory)
    with StateFile(folder) as state:
        assert state.open().memory == memory


def test_two_installations_differ(tmp_path: Path) -> None:
    seen = set()
    for name in "ab":
        with StateFile(tmp_path / name) as state:
            first = state.open()
            seen |= {first.seed, first.callback_secret.reveal()}
    assert len(seen) == 4


def test_only_the_owner_may_read(folder: Path) -> None:
    before = os.umask(0)
    try:
        saved(folder, MEMORY, LATER)
        write_pairing(folder, BridgePaired(LINK, Secret("t0ken")))
    finally:
        os.umask(before)
    assert mode_of(folder) == 0o700
    files = {path.name: mode_of(path) for path in folder.iterdir()}
    assert files == dict.fromkeys(("state.json", "state.json.bak", "state.lock", "pairing.json"), 0o600)


def test_the_former_version_is_kept(folder: Path) -> None:
    saved(folder, MEMORY, LATER)
    (folder / "state.json").unlink()
    with StateFile(folder) as state:
        found = state.open()
    assert found.memory == MEMORY
    assert any("state.json is missing" in problem for problem in found.problems)


def test_saving_twice_with_one_former_name(folder: Path, opened: StateFile) -> None:
    # As after a power cut between keeping the former one and replacing the file.
    opened.save(MEMORY)
    former = folder / "state.json.bak"
    former.unlink()
    former.hardlink_to(folder / "state.json")
    opened.save(LATER)
    assert sorted(path.name for path in folder.iterdir()) == ["state.json", "state.json.bak", "state.lock"]
    assert read_state(former.read_bytes()).memory == MEMORY


def test_links_at_the_temporary_name_are_not_followed(folder: Path, opened: StateFile, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (folder / f"state.json.{os.getpid()}.tmp").symlink_to(victim)
    opened.save(MEMORY)
    assert victim.read_text() == "untouched"
    assert not (folder / "state.json").is_symlink()


def test_leftovers_of_a_killed_process_are_removed(folder: Path) -> None:
    saved(folder, MEMORY)
    leftover = folder / "state.json.99999.tmp"
    leftover.write_text("{")
    saved(folder)
    assert not leftover.exists()


def test_saving_before_opening_is_an_error(folder: Path) -> None:
    with pytest.raises(StateFileError, match="not open"):
        StateFile(folder).save(MEMORY)


# --- Damage -------------------------------------------------------------------------------------------------


def test_cut_off_at_every_byte_the_former_version_is_used(folder: Path) -> None:
    saved(folder, MEMORY, LATER)
    path, broken = folder / "state.json", folder / "state.json.broken"
    whole, former = path.read_bytes(), (folder / "state.json.bak").read_bytes()
    for length in range(len(whole) - 1):  # the last byte is the end of the line
        path.write_bytes(whole[:length])
        (folder / "state.json.bak").write_bytes(former)
        with StateFile(folder) as state:
            found = state.open()
        assert found.memory == MEMORY
        assert len(found.problems) == 2
        assert broken.read_bytes() == whole[:length]
        assert read_state(path.read_bytes()).memory == MEMORY


def test_both_broken_starts_empty_and_says_so(folder: Path) -> None:
    saved(folder, MEMORY, LATER)
    for name in ("state.json", "state.json.bak"):
        (folder / name).write_bytes(b"\x00" * 100)
    with StateFile(folder) as state:
        found = state.open()
        state.save(LATER)
    assert found.memory == Memory()
    assert "nuki2mqtt pair" in found.problems[-1]
    with StateFile(folder) as state:
        assert state.open().memory == LATER


def test_the_file_of_a_version_that_remembered_no_announcements_is_read(folder: Path) -> None:
    saved(folder, MEMORY)
    path = folder / "state.json"
    data = json.loads(path.read_text())
    del data["announced"]
    path.write_text(json.dumps(data))
    with StateFile(folder) as state:
        found = state.open()
    assert found.memory == replace(MEMORY, announced={})
    assert found.problems == ()


def test_the_file_of_a_version_that_knew_no_keypads_is_read() -> None:
    data = json.loads(render_state(StateContents("0badcafe", Secret("0" * 32), MEMORY)))
    for field in [field for field in data if field.startswith("keypad_")]:
        del data[field]

    found = read_state(json.dumps(data).encode())

    assert found.memory == replace(MEMORY, keypad_wishes={}, keypad_operations={}, keypad_syncs={})
    assert found.dropped == ()


def test_what_is_known_of_a_device_of_the_cloud_as_it_is_written_and_read() -> None:
    data = json.loads(render_state(StateContents("0badcafe", Secret("0" * 32), MEMORY)))
    assert data["cloud_devices"] == {"1A2B3C4D": {"no_unlatch": True, "is_alone": False}}
    data["cloud_devices"] |= {"2": {"later": 1}, "3": {"no_unlatch": 1}, "x": {}, "5": None}

    found = read_state(json.dumps(data).encode())

    assert found.memory.cloud_devices == {**MEMORY.cloud_devices, NukiId(2): CloudDeviceMemory()}
    assert [one.split()[1] for one in found.dropped] == ["'3'", "'x'", "'5'"]
    del data["cloud_devices"]
    assert read_state(json.dumps(data).encode()).memory == replace(MEMORY, cloud_devices={})


def test_a_keypad_wish_as_it_is_written() -> None:
    data = json.loads(render_state(StateContents("0badcafe", Secret("0" * 32), MEMORY)))

    assert data["keypad_wishes"]["18233733061 1"] == {
        "smartlock_id": 18233733061,
        "name": "K\u00e4the",
        "phase": "update_pending",
        "enabled": False,
        "schedule": {
            "begins": "2026-12-01T08:30:00+00:00",
            "ends": None,
            "weekdays": ["mon", "sun"],
            "daily": {"from_minute": 480, "until_minute": 1085},
        },
        "code": "839275",
        "auth_id": "65219648fe00000000000d01",
        "reason": "not_confirmed",
        "attempts": 2,
        "sent_name": None,
        "sent_code": None,
        "once": True,
        "revived": False,
        "confirmed": "2026-12-02T00:00:00+00:00",
    }


def test_keypad_entries_of_another_version_lose_only_themselves() -> None:
    data = json.loads(render_state(StateContents("0badcafe", Secret("0" * 32), MEMORY)))
    wish = data["keypad_wishes"]["18233733061 2"]
    data["keypad_wishes"] |= {
        "a": wish | {"later": 1},
        "b": wish | {"phase": "unheard of"},
        "c": wish | {"schedule": {"weekdays": ["x"]}},
        "d": {"smartlock_id": 1},
        "e": wish | {"confirmed": "2026-12-02T00:00:00"},
    }

    found = read_state(json.dumps(data).encode())

    assert set(found.memory.keypad_wishes) == {*MEMORY.keypad_wishes, "a"}
    assert [one.split()[1] for one in found.dropped] == ["'b'", "'c'", "'d'", "'e'"]


def test_one_broken_entry_loses_only_itself(folder: Path) -> None:
    saved(folder, MEMORY)
    path = folder / "state.json"
    data = json.loads(path.read_text())
    data["devices"] |= {"2": {"topic": "x"}, "nonsense": {}, "3": {"topic": 1, "name": "x", "device_type": 2}}
    data["bridges"]["b"] = {"token": "", "auth": "plain"}
    data["bridges"]["c"] = {"auth": "unheard of"}
    data["announced"] |= {"a": ["lock"], "b": {"lock": 1}, "c": None, "d": {"lock": {"p": "lock"}}, "e": "lock"}
    data["later_field"] = {"what": "ever"}
    path.write_text(json.dumps(data))
    with StateFile(folder) as state:
        found = state.open()
    assert found.memory == MEMORY
    assert len(found.problems) == 10
    assert "devices '2'" in found.problems[2]


@pytest.mark.parametrize("field", ["version", "seed", "callback_secret", "devices", "bridges", "announced", "journal"])
@pytest.mark.parametrize("value", [None, [], "", "x", -1, 1.5, True, {}])
def test_a_broken_frame_is_unreadable(field: str, value: object) -> None:
    if field in {"devices", "bridges", "announced", "journal"} and value == {}:
        return
    data = json.loads(render_state(StateContents("0badcafe", Secret("0" * 32), MEMORY)))
    with pytest.raises(UnreadableBody):
        read_state(json.dumps(data | {field: value}).encode())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
keys = st.text() | st.sampled_from(
    ["1A2B3C4D", "topic", "name", "device_type", "token", "auth", "bridge_id", "device", "action", "accepted", "key"]
)


@settings(deadline=None)
@given(st.dictionaries(keys, json_values | st.dictionaries(keys, json_values)))
def test_any_entries_are_read_or_dropped(entries: dict[str, Any]) -> None:
    frame = {"version": 1, "seed": "0badcafe", "callback_secret": "0" * 32}
    keypads = ("keypad_wishes", "keypad_operations", "keypad_syncs")
    for name in ("bridges", "devices", "retired_topics", "announced", "journal", *keypads):
        contents = read_state(json.dumps(frame | {name: entries}).encode())
        assert len(getattr(contents.memory, name)) + len(contents.dropped) <= len(entries)
        again = read_state(render_state(contents))
        assert again.memory == contents.memory
        assert again.dropped == ()


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(UnreadableBody):
        read_state(body)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"version":' + b"9" * 5000 + b"}"])
def test_bytes_that_json_chokes_on(body: bytes) -> None:
    with pytest.raises(UnreadableBody):
        read_state(body)


def test_a_folder_in_place_of_the_file(folder: Path) -> None:
    (folder / "state.json").mkdir(parents=True)
    with StateFile(folder) as state:
        assert "cannot be read (Is a directory)" in state.open().problems[0]
        state.save(MEMORY)
    with StateFile(folder) as state:
        assert state.open().memory == MEMORY


# --- Nowhere to write ---------------------------------------------------------------------------------------


def test_an_impossible_folder_is_said_and_healed_by_a_later_save(folder: Path) -> None:
    folder.write_text("a file in the way")
    with StateFile(folder) as state:
        found = state.open()
        assert found.memory == Memory()
        assert len(found.seed) == 8
        assert len(found.problems) == 1
        assert "state_dir" in found.problems[0]
        with pytest.raises(StateFileError, match=r"cannot be written \(File exists\).*state_dir"):
            state.save(MEMORY)
        assert state.take_pairing() == ()
        folder.unlink()
        state.save(MEMORY)
    with StateFile(folder) as state:
        again = state.open()
    assert again.memory == MEMORY
    assert again.seed == found.seed


def test_a_full_disk_is_said_and_leaves_the_file_alone(folder: Path) -> None:
    saved(folder, MEMORY)
    before = (folder / "state.json").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with StateFile(folder) as state:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            found = state.open()
            with pytest.raises(StateFileError, match="free some space"):
                state.save(LATER)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert found.memory == MEMORY
        assert "free some space" in found.problems[0]
        assert (folder / "state.json").read_bytes() == before
        assert not list(folder.glob("*.tmp"))
        state.save(LATER)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(folder: Path) -> None:
    saved(folder, MEMORY)
    folder.chmod(0o500)
    try:
        with StateFile(folder) as state:
            found = state.open()
            with pytest.raises(StateFileError, match="Permission denied"):
                state.save(LATER)
    finally:
        folder.chmod(0o700)
    assert found.memory == MEMORY
    assert "Permission denied" in found.problems[0]


# --- One process --------------------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from nuki2mqtt.adapters.state_file import StateFile
with StateFile(Path(sys.argv[1])) as state:
    state.open()
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_ends(folder: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:  # noqa: S603
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with StateFile(folder) as state:
            with pytest.raises(StateFileError, match=rf"\(pid {holder.pid}\) uses this folder.*state_dir") as caught:
                state.open()
            assert not caught.value.newer
            holder.kill()  # the kernel lets go, whatever became of the process
            holder.wait()
            assert state.open().problems == ()


def test_closing_lets_the_next_one_in(folder: Path, opened: StateFile) -> None:
    second = StateFile(folder)
    with pytest.raises(StateFileError, match="uses this folder"):
        second.open()
    opened.close()
    with second:
        second.open()


# --- Versions -----------------------------------------------------------------------------------------------


def test_a_newer_version_is_refused_and_left_alone(folder: Path) -> None:
    saved(folder, MEMORY, LATER)
    path = folder / "state.json"
    newer = json.dumps({"version": 2, "anything": "else"})
    path.write_text(newer)
    state = StateFile(folder)
    with pytest.raises(StateFileError, match="later nuki2mqtt") as caught:
        state.open()
    assert caught.value.newer
    assert path.read_text() == newer
    with StateFile(folder) as other, pytest.raises(StateFileError, match="later nuki2mqtt"):
        other.open()  # and not "uses this folder": the lock was given back


def test_an_older_version_is_migrated_step_by_step(folder: Path) -> None:
    saved(folder, MEMORY)

    def rename(data: dict[str, Any]) -> dict[str, Any]:
        assert data["version"] == 1
        return data | {"half_way": True}

    def retire(data: dict[str, Any]) -> dict[str, Any]:
        assert (data["version"], data["half_way"]) == (2, True)
        return data | {"retired_topics": {}}

    migrations = {1: rename, 2: retire}
    with StateFile(folder, version=3, migrations=migrations) as state:
        found = state.open()
        assert found.problems == ()
        assert found.memory == replace(MEMORY, retired_topics={})
        state.save(found.memory)
    assert json.loads((folder / "state.json").read_text())["version"] == 3
    assert json.loads((folder / "state.json.bak").read_text())["version"] == 1


def test_a_migration_that_fails_is_a_broken_file() -> None:
    def fail(data: dict[str, Any]) -> dict[str, Any]:
        return {"seed": data["unheard of"]}

    body = render_state(StateContents("0badcafe", Secret("0" * 32), MEMORY))
    with pytest.raises(UnreadableBody, match="version 1, but not as"):
        read_state(body, 2, {1: fail})
    with pytest.raises(UnreadableBody, match="nothing reads any more"):
        read_state(body, 2, {})


# --- Pairing ------------------------------------------------------------------------------------------------


def test_tokens_are_handed_over_once(folder: Path, opened: StateFile) -> None:
    assert opened.take_pairing() == ()
    write_pairing(folder, BridgePaired(LINK, Secret("first")))
    write_pairing(folder, BridgePaired("other:8080", Secret("second")))
    write_pairing(folder, BridgePaired(LINK, Secret("third")))
    taken = opened.take_pairing()
    assert set(taken) == {BridgePaired(LINK, Secret("third")), BridgePaired("other:8080", Secret("second"))}
    assert opened.take_pairing() == ()
    assert not list(folder.glob("pairing*"))


def test_pairing_makes_the_folder(folder: Path) -> None:
    write_pairing(folder, BridgePaired(LINK, Secret("t0ken")))
    with StateFile(folder) as state:
        state.open()
        assert state.take_pairing() == (BridgePaired(LINK, Secret("t0ken")),)


def test_a_token_half_taken_is_taken_again(folder: Path, opened: StateFile) -> None:
    write_pairing(folder, BridgePaired(LINK, Secret("t0ken")))
    (folder / "pairing.json").rename(folder / "pairing.json.taken")
    assert len(opened.take_pairing()) == 1
    assert opened.take_pairing() == ()


@pytest.mark.parametrize("body", ["", "[]", '{"pairings":[1]}', "{", '{"pairings":{"a":1}}'])
def test_nonsense_is_dropped(folder: Path, opened: StateFile, caplog: pytest.LogCaptureFixture, body: str) -> None:
    (folder / "pairing.json").write_text(body)
    assert opened.take_pairing() == ()
    assert not list(folder.glob("pairing*"))
    assert len(caplog.records) <= 1


def test_pairing_that_cannot_be_written_says_what_to_do(folder: Path) -> None:
    folder.write_text("a file in the way")
    with pytest.raises(StateFileError, match="as the user of the service"):
        write_pairing(folder, BridgePaired(LINK, Secret("t0ken")))


def test_pairing_that_cannot_be_read_is_said(folder: Path, opened: StateFile) -> None:
    (folder / "pairing.json").mkdir()
    with pytest.raises(StateFileError, match="cannot be taken"):
        opened.take_pairing()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_hands_over_belongs_to_the_service(folder: Path) -> None:
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    write_pairing(folder, BridgePaired(LINK, Secret("t0ken")))
    assert (folder / "pairing.json").stat().st_uid == 12345


# --- Names and places ---------------------------------------------------------------------------------------


def test_a_cloned_card_is_another_instance() -> None:
    assert instance_id("0badcafe", "a" * 32) != instance_id("0badcafe", "b" * 32)
    assert instance_id("0badcafe", None) == "0badcafe47d8c3"
    assert len(instance_id("0badcafe", "a" * 32)) == 14


def test_the_machine_id(tmp_path: Path) -> None:
    path = tmp_path / "machine-id"
    assert read_machine_id(path) is None
    for text, expected in (("a1b2\n", "a1b2"), ("", None), ("uninitialized\n", None), ("\xff", None)):
        path.write_text(text, encoding="latin-1")
        assert read_machine_id(path) == expected


@pytest.mark.parametrize(
    ("environ", "platform", "options", "expected"),
    [
        ({"HOME": "/home/me"}, "linux", {}, "/home/me/.local/state/nuki2mqtt"),
        ({"HOME": "/home/me", "XDG_STATE_HOME": "/x"}, "linux", {}, "/x/nuki2mqtt"),
        ({"HOME": "/home/me", "XDG_STATE_HOME": "x"}, "linux", {}, "/home/me/.local/state/nuki2mqtt"),
        ({"HOME": "/Users/me"}, "darwin", {}, "/Users/me/Library/Application Support/nuki2mqtt"),
        ({"HOME": "/root"}, "linux", {"is_root": True}, "/var/lib/nuki2mqtt"),
        ({"HOME": "/root"}, "linux", {"is_root": True, "in_container": True}, "/var/lib/nuki2mqtt"),
    ],
)
def test_where_the_state_lives(
    environ: dict[str, str], platform: str, options: dict[str, bool], expected: str, tmp_path: Path
) -> None:
    given = {"is_root": False, "in_container": False} | options
    assert default_state_dir(environ, platform, data=tmp_path / "none", **given) == Path(expected)


def test_in_a_container_the_volume_is_used(tmp_path: Path) -> None:
    assert default_state_dir({}, "linux", in_container=True, data=tmp_path) == tmp_path
    assert default_state_dir({}, "linux", in_container=False, is_root=True, data=tmp_path) != tmp_path


def test_a_pipe_in_the_place_of_the_handover_is_refused_and_holds_nobody_up(folder: Path, opened: StateFile) -> None:
    os.mkfifo(folder / "pairing.json")
    with pytest.raises(StateFileError, match="cannot be taken"):
        opened.take_pairing()


def test_a_token_that_waits_is_for_the_bridge_of_its_address_and_not_for_one_that_has_moved_away(folder: Path) -> None:
    moved = BridgeMemory(NukiId(0x0A), Secret("0ld"), AuthMode.ENCRYPTED, "192.0.2.44:8080")
    with StateFile(folder) as state:
        state.open()
        state.save(Memory({LINK: moved}))
    write_pairing(folder, BridgePaired(LINK, Secret("n3w")))
    write_pairing(folder, BridgePaired("192.0.2.44:8080", Secret("m0ved")))

    assert read_memory(folder).bridges == {
        LINK: replace(moved, token=Secret("m0ved")),
        f"{LINK}/2": BridgeMemory(None, Secret("n3w"), None, LINK),
    }
