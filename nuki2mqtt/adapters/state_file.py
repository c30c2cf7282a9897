"""The little that cannot be learnt again: tokens, topics, the instance's seed and its callback secret.

One folder, for one process: `state.json` with its former version `state.json.bak`, the lock `state.lock`, and
`pairing.json`, in which `nuki2mqtt pair` hands a token over to the running service.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from nuki2mqtt.adapters.clock import Entropy, SystemEntropy
from nuki2mqtt.adapters.private_file import (
    FILE_MODE,
    make_private_folder,
    read_regular_file,
    remove_leftovers,
    try_write,
    write_private_file,
)
from nuki2mqtt.adapters.state_codec import (
    MIGRATIONS,
    VERSION,
    Migration,
    StateContents,
    read_state,
    render_state,
)
from nuki2mqtt.errors import StateFileError, UnreadableBody
from nuki2mqtt.gateway.learnt_bridges import memory_at, name_at, new_name
from nuki2mqtt.gateway.vocabulary import BridgePaired, Memory
from nuki2mqtt.model.secret import Secret

_SEED_BYTES = 4
_CALLBACK_SECRET_BYTES = 16
_MAX_FILE_BYTES = 16 * 1024 * 1024
_MACHINE_ID = Path("/etc/machine-id")
_STATE = "state.json"
_PAIRING = "pairing.json"
_MAX_PAIRING = 65_536

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenedState:
    """What was found; `problems` are for people, each with its next step."""

    memory: Memory
    seed: str
    callback_secret: Secret
    problems: tuple[str, ...] = ()


class StateFile:
    """The state file in a folder; it is ours from `open` to `close`. Its calls block, for a disk's time."""

    def __init__(
        self,
        directory: Path,
        *,
        entropy: Entropy | None = None,
        version: int = VERSION,
        migrations: Mapping[int, Migration] = MIGRATIONS,
    ) -> None:
        self._folder = directory
        self._path = directory / _STATE
        self._former = directory / "state.json.bak"
        self._broken = directory / "state.json.broken"
        self._entropy = entropy or SystemEntropy()
        self._version = version
        self._migrations = migrations
        self._lock: int | None = None
        self._contents: StateContents | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> OpenedState:
        """Lock the folder and read what is in it; without a usable folder, an empty state that says so.

        Raises StateFileError where another process uses the folder or a later version wrote the file.
        """
        problems: list[str] = []
        try:
            self._take_folder()
        except OSError as error:
            problems.append(self._unwritable(error))
        try:
            contents, is_new = self._read(problems)
            self._check_writable(contents, is_new=is_new, problems=problems)
        except BaseException:
            self.close()
            raise
        self._contents = contents
        return OpenedState(contents.memory, contents.seed, contents.callback_secret, tuple(problems))

    def save(self, memory: Memory) -> None:
        """Write this memory, whole or not at all; raises StateFileError, and may be tried again."""
        if self._contents is None:
            raise StateFileError("the state file is not open")
        contents = replace(self._contents, memory=memory)
        try:
            if self._lock is None:
                self._take_folder()
            self._write(contents)
        except OSError as error:
            raise StateFileError(self._unwritable(error)) from error
        self._contents = contents

    def take_pairing(self) -> tuple[BridgePaired, ...]:
        """The tokens that `nuki2mqtt pair` has left here, each given once; raises StateFileError."""
        handed, taken = self._folder / _PAIRING, self._folder / f"{_PAIRING}.taken"
        try:
            try:
                handed.replace(taken)
            except FileNotFoundError:
                if not taken.exists():  # left by a process that was killed while reading
                    return ()
            body = read_regular_file(taken, _MAX_PAIRING)
            taken.unlink()
        except NotADirectoryError:
            return ()
        except OSError as error:
            text = f"{handed} cannot be taken ({_reason(error)}): give it to the user that runs the service"
            raise StateFileError(text) from error
        try:
            pairings = _read_pairings(body)
        except UnreadableBody as error:
            _log.warning("%s is dropped (%s): run `nuki2mqtt pair` again", handed, error)
            return ()
        return tuple(pairings.values())

    def close(self) -> None:
        """Let another process have the folder."""
        lock, self._lock = self._lock, None
        self._contents = None
        if lock is not None:
            os.close(lock)

    def _take_folder(self) -> None:
        make_private_folder(self._folder)
        path = self._folder / "state.lock"
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
        try:
            self._lock_or_raise(handle)
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            remove_leftovers(self._path)
        except BaseException:
            os.close(handle)
            raise
        self._lock = handle

    def _lock_or_raise(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
            raise StateFileError(
                f"another nuki2mqtt (pid {owner or 'unknown'}) uses this folder, {self._folder}: stop it, or"
                " give this one a folder of its own (state_dir)"
            ) from None
        except OSError as error:
            if error.errno not in {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}:
                raise
            _log.warning("%s cannot be locked: take care that no second nuki2mqtt uses it", self._folder)

    def _read(self, problems: list[str]) -> tuple[StateContents, bool]:
        """The contents, and whether they must be written now."""
        known = len(problems)
        current = self._read_one(self._path, problems)
        if current is not None:
            return current, False
        is_missing = len(problems) == known
        former = self._read_one(self._former, problems)
        if former is not None:
            if is_missing:
                problems.append(f"{self._path} is missing")
            problems.append(f"{self._former} is used, as it was before the last change: look if all is there")
            return former, True
        if len(problems) > known:
            problems.append("started with an empty state: run `nuki2mqtt pair` for Bridges whose token is not set")
        seed, secret = self._entropy.token(_SEED_BYTES), self._entropy.token(_CALLBACK_SECRET_BYTES)
        return StateContents(seed, Secret(secret), Memory()), True

    def _read_one(self, path: Path, problems: list[str]) -> StateContents | None:
        try:
            with path.open("rb") as file:
                body = file.read(_MAX_FILE_BYTES)
            contents = read_state(body, self._version, self._migrations)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnreadableBody) as error:
            why = _reason(error) if isinstance(error, OSError) else str(error)
            problems.append(f"{path} cannot be read ({why}){self._put_aside(path)}")
            return None
        problems.extend(f"{path}: {entry} cannot be read and is dropped" for entry in contents.dropped)
        return contents

    def _put_aside(self, path: Path) -> str:
        if path != self._path:
            return ""
        try:
            path.replace(self._broken)
        except OSError:
            return ""
        return f" and is kept as {self._broken.name}"

    def _check_writable(self, contents: StateContents, *, is_new: bool, problems: list[str]) -> None:
        if self._lock is None:
            return  # known not to be, and said
        try:
            if is_new:
                self._write(contents)
            else:
                try_write(self._path, render_state(contents, self._version))
        except OSError as error:
            problems.append(self._unwritable(error))

    def _write(self, contents: StateContents) -> None:
        write_private_file(self._path, render_state(contents, self._version), keep_as=self._former)

    def _unwritable(self, error: OSError) -> str:
        step = (
            "free some space"
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
            else "make it writable for the user that runs nuki2mqtt, or set state_dir"
        )
        why = _reason(error)
        return f"{self._folder} cannot be written ({why}): {step}; until then a restart forgets what is learnt"


def read_memory(directory: Path) -> Memory:
    """What the state file holds now, without taking it over; empty where it cannot be read.

    Tokens that `nuki2mqtt pair` left and no service has taken yet count, too.
    """
    memory = Memory()
    with contextlib.suppress(OSError, UnreadableBody, StateFileError):
        memory = read_state((directory / _STATE).read_bytes()).memory
    with contextlib.suppress(OSError, UnreadableBody):
        for link, paired in _read_pairings((directory / _PAIRING).read_bytes()).items():
            name, known = name_at(memory.bridges, link), memory_at(memory.bridges, link)
            if memory.bridges.get(name, known) != known:  # the Bridge of that name has moved away
                name, known = new_name(link, memory.bridges), replace(known, at=link)
            memory.bridges[name] = replace(known, token=paired.token)
    return memory


def write_pairing(directory: Path, paired: BridgePaired) -> None:
    """Leave a token for the running service (`StateFile.take_pairing`); raises StateFileError."""
    path = directory / _PAIRING
    try:
        make_private_folder(directory)
        try:
            pairings = _read_pairings(path.read_bytes())
        except (FileNotFoundError, UnreadableBody):
            pairings = {}
        pairings[paired.link] = paired
        body = {link: {"token": one.token.reveal(), "replace": one.replace_bridge} for link, one in pairings.items()}
        write_private_file(path, json.dumps({"version": 1, "pairings": body}).encode())
    except OSError as error:
        raise StateFileError(
            f"{path} cannot be written ({_reason(error)}): run this as the user of the service, or as root"
        ) from error


def _read_pairings(body: bytes) -> dict[str, BridgePaired]:
    try:
        pairings = json.loads(body)["pairings"]
        return {
            link: BridgePaired(link, Secret(one["token"]), replace_bridge=one.get("replace") is True)
            for link, one in pairings.items()
            if isinstance(one["token"], str) and one["token"]
        }
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        raise UnreadableBody("not what `nuki2mqtt pair` writes") from None


def read_machine_id(path: Path = _MACHINE_ID) -> str | None:
    """The id that this installation has for its lifetime (machine-id(5)); None where there is none."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return text if text not in {"", "uninitialized"} else None


def instance_id(seed: str, machine_id: str | None) -> str:
    """The name of this installation; a cloned card with the same seed is another one."""
    digest = hashlib.sha256(f"nuki2mqtt{machine_id or ''}".encode()).hexdigest()
    return f"{seed}{digest[:6]}"


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else type(error).__name__
