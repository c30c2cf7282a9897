"""What each process was told of each device: the last word of each source, written from the wire alone."""

import json
from collections.abc import Mapping
from datetime import datetime
from itertools import zip_longest
from typing import NamedTuple

from tests.storm.computer import Computer
from tests.storm.world import Call

GRACE_S = 0.5  # until what has come is also what is shown, unless the gateway waits for a slow disk
SKEWED_S = 1500.0  # entries stamped by a wrong clock are put into another order, until `/info` has shown it
OLDER_S = 120.0  # by so much an entry is older than a callback for sure, however slow the Bridge
CALLBACK = "callback"
CLOUD = "cloud"


class Word(NamedTuple):
    """One report: when it came, what it says, and since when (a `/list` entry's timestamp)."""

    at: float
    state: int
    since: float | None


Words = Mapping[str, tuple[Word, ...]]  # by source, the last one last; former ones within `GRACE_S` before it


def last_words(heard: tuple[Word, ...], now: float) -> list[Word]:
    """The last word of a source; within the grace those before it, too."""
    return [
        word for word, following in zip_longest(heard, heard[1:]) if following is None or following.at > now - GRACE_S
    ]


class _Heard:
    def __init__(self, process: int) -> None:
        self.process = process
        self.listed_at: float | None = None
        self.words: dict[str, tuple[Word, ...]] = {}

    def hear(self, source: str, word: Word) -> None:
        former = self.words.get(source, ())
        self.words[source] = (*(one for one in former if one.at > word.at - GRACE_S or one is former[-1]), word)


class Reports:
    """All computers' processes, the last one of each."""

    def __init__(self) -> None:
        self._heard: dict[tuple[str, int], _Heard] = {}

    def of(self, computer: Computer, process: int, nuki_id: int) -> Words:
        """What this process was told of a device."""
        heard = self._heard.get((computer.name, nuki_id))
        return {} if heard is None or heard.process != process else heard.words

    def listed_at(self, computer: Computer, process: int, nuki_id: int) -> float | None:
        """When this process was first shown the device in a `/list`."""
        heard = self._heard.get((computer.name, nuki_id))
        return None if heard is None or heard.process != process else heard.listed_at

    def hear_call(self, call: Call) -> None:
        """A request has ended."""
        if not call.is_answered or not call.computer.is_alive:
            return
        if call.path == "/list":
            for nuki_id, state in call.entries.items():
                heard = self._of(call.computer, call.process, nuki_id)
                if heard.listed_at is None:
                    heard.listed_at = call.ended
                if state is not None:
                    self._hear(heard, call, state, datetime.fromisoformat(state["timestamp"]).timestamp())
        elif call.path == "/lockState" and isinstance(call.body, dict) and call.body.get("success") is True:
            self._hear(self._of(call.computer, call.process, int(call.params["nukiId"])), call, call.body, None)

    def hear_callback(self, computer: Computer | None, body: bytes, status: int) -> None:
        """A callback was taken."""
        if computer is None or computer.process is None or status != 200:
            return
        report = json.loads(body)
        heard = self._of(computer, computer.process.number, int(report["nukiId"]))
        heard.hear(CALLBACK, Word(computer.world.now, int(report["state"]), None))

    def hear_cloud(self, computer: Computer, process: int, nuki_id: int, state: int) -> None:
        """The cloud has told a state."""
        self._of(computer, process, nuki_id).hear(CLOUD, Word(computer.world.now, state, None))

    @staticmethod
    def _hear(heard: _Heard, call: Call, state: Mapping[str, object], since: float | None) -> None:
        code = state.get("state")
        if isinstance(code, int) and call.ended is not None:
            heard.hear(f"{call.path} {call.host}", Word(call.ended, code, since))

    def _of(self, computer: Computer, process: int, nuki_id: int) -> _Heard:
        heard = self._heard.get((computer.name, nuki_id))
        if heard is None or heard.process != process:
            heard = self._heard[computer.name, nuki_id] = _Heard(process)
        return heard
