"""A world in which every secret is marked, whose Bridges echo what they are sent, and which keeps all that it says."""

import html
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from nuki2mqtt.gateway.own_callbacks import OwnCallbacks
from nuki2mqtt.gateway.vocabulary import BridgeMemory, Effect, Event, Memory
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_auth import AuthMode
from nuki2mqtt.simulator.bridge import SimulatedAnswer, SimulatedBridge
from nuki2mqtt.simulator.house import SimulatedLock, SimulatedOpener
from nuki2mqtt.simulator.token_check import TokenCheck
from tests.stories.secrets_marks import leaks
from tests.stories.world import BRIDGE_HOST, BRIDGE_PORT, Disk, Process, World

OTHER_HOST = "192.0.2.11"
LINK, OTHER_LINK = f"{BRIDGE_HOST}:{BRIDGE_PORT}", f"{OTHER_HOST}:{BRIDGE_PORT}"
LOCK_ID, OPENER_ID = 0x1A2B3C4D, 0x2A2B3C4E
TOKEN, OTHER_TOKEN, NEW_TOKEN = "tkMARKone7Q", "tk%MARK&two/9", "tkMARKthree3"
PASSWORD, WEB_PASSWORD = 'pwMARK"four\\ ü', "pwMARKfive55"
CALLBACK_SECRET = "cbMARKsix0123456789abcdef"
STRANGER_LOGIN = "loginMARKseven"
STRANGER = f"http://someone:{STRANGER_LOGIN}@192.0.2.77:8080/hook?key={STRANGER_LOGIN}"
USERNAME = "userMARKeight"

CONFIG = f"""version: 1
mqtt: {{username: {USERNAME}, password: {json.dumps(PASSWORD)}}}
web: {{password: {WEB_PASSWORD}}}
bridges:
  - {{host: {BRIDGE_HOST}, token: {TOKEN}, auth: %s, allow_plain: %s}}
  - {{host: {OTHER_HOST}}}
"""


Echo = Callable[[str, Mapping[str, str], str], str]


def _url(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query, quote_via=quote)}"


def _raw(path: str, query: Mapping[str, str], _: str) -> str:
    return f"Bad request: GET {_url(path, query)} HTTP/1.1"


def _page(path: str, query: Mapping[str, str], _: str) -> str:
    return f"<html><a href='http://192.0.2.10{html.escape(_url(path, query))}'>bad</a></html>"


def _error(path: str, query: Mapping[str, str], _: str) -> str:
    return json.dumps({"error": f"bad request {_url(path, query)}"})


def _parameters(_: str, query: Mapping[str, str], __: str) -> str:
    return json.dumps({"query": dict(query)})


def _message(path: str, query: Mapping[str, str], _: str) -> str:
    return json.dumps({"success": False, "message": f"no: {_url(path, query)}"})


def _decoded_message(_: str, query: Mapping[str, str], __: str) -> str:
    return json.dumps({"success": False, "message": f"no: {query.get('url', '')}"})


def _quoted(path: str, query: Mapping[str, str], _: str) -> str:
    return f"bad next={quote(_url(path, query), safe='')}"


def _quoted_url(_: str, query: Mapping[str, str], __: str) -> str:
    return f"bad {quote(query.get('url', ''), safe='')}"


def _lines(_: str, query: Mapping[str, str], __: str) -> str:
    return "\n".join(f"{key}: {value}" for key, value in reversed(list(query.items())))


def _python(_: str, query: Mapping[str, str], __: str) -> str:
    return repr(dict(reversed(list(query.items()))))


def _sentence(_: str, __: Mapping[str, str], token: str) -> str:
    return json.dumps({"error": f"not what was expected: {token} is not valid"})


def _plain_sentence(_: str, __: Mapping[str, str], token: str) -> str:
    return f"{token} is not valid"


ECHOES: dict[str, Echo] = {
    "raw": _raw,
    "page": _page,
    "error": _error,
    "parameters": _parameters,
    "message": _message,
    "decoded message": _decoded_message,
    "quoted": _quoted,
    "quoted url": _quoted_url,
    "lines": _lines,
    "python": _python,
    "sentence": _sentence,
    "plain sentence": _plain_sentence,
}


class EchoBridge(SimulatedBridge):
    """Answers as a Bridge, or on some paths with an echo of what it was asked. `proofs` are the signed parameters."""

    echo: Echo | None = None
    echo_status = 400
    echo_paths: tuple[str, ...] = ()
    proofs: tuple[str, ...] = ()

    def answer(self, path: str, query: Mapping[str, str], now: float) -> SimulatedAnswer:
        answer = super().answer(path, query, now)
        self.proofs += tuple(query[key] for key in ("ctoken", "nonce", "hash") if key in query)
        if self.echo is None or (self.echo_paths and path not in self.echo_paths):
            return answer
        body = self.echo(path, query, self.tokens.token)
        return SimulatedAnswer(self.echo_status, body.encode(), 0.1)


class Telling(Process):
    """A process that keeps how each event and effect shows itself."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.shown: list[tuple[str, str]] = []
        super().__init__(*args, **options)

    def deliver(self, event: Event) -> None:
        self._show(event)
        super().deliver(event)

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._show(effect)
        super().carry_out(effects)

    def _show(self, what: Event | Effect) -> None:
        self.shown += [(f"repr of {type(what).__name__}", repr(what)), (f"str of {type(what).__name__}", str(what))]


class MarkedWorld(World):
    """Two Bridges, one whose token is set and one whose token is remembered; a stranger's slot with a login."""

    def __init__(self, auth: str = "auto") -> None:
        super().__init__()
        self.auth = auth
        self.house.add(SimulatedLock(nuki_id=LOCK_ID, device_type=4, name="Front door", door=2))
        self.house.add(SimulatedOpener(nuki_id=OPENER_ID, name="Intercom"))
        self.bridge = self._add(BRIDGE_HOST, TOKEN, 0x0A1B2C3D)
        self.other = self._add(OTHER_HOST, OTHER_TOKEN, 0x0A1B2C3E)
        self.bridge.callbacks.add(STRANGER)
        memory = Memory(bridges={OTHER_LINK: BridgeMemory(token=Secret(OTHER_TOKEN), auth=AuthMode.HASHED)})
        self.disk = Disk("1234abcd", CALLBACK_SECRET, memory)
        self.process = self.start()

    def _add(self, host: str, token: str, hardware_id: int) -> EchoBridge:
        bridge = EchoBridge(self.house, hardware_id=hardware_id, server_id=1, token=token)
        self.bridges[f"{host}:{BRIDGE_PORT}"] = bridge
        return bridge

    def start(self) -> Telling:
        """Start a gateway with what the disk holds."""
        allow_plain = "true" if self.auth == "plain" else "false"
        process = Telling(self, CONFIG % (self.auth, allow_plain), self.disk)
        self.processes.append(process)
        return process

    def echo(self, name: str | None, status: int = 400, *paths: str) -> None:
        """Let both Bridges echo what they are asked on these paths, or on all; None ends it."""
        for bridge in (self.bridge, self.other):
            bridge.echo = None if name is None else ECHOES[name]
            bridge.echo_status, bridge.echo_paths = status, paths

    def change_token(self) -> None:
        """The token of the first Bridge is another one now."""
        self.bridge.tokens = TokenCheck(NEW_TOKEN, self.bridge.tokens.modes)

    @property
    def marks(self) -> dict[str, str]:
        """All secrets of this world."""
        own = OwnCallbacks("auto", instance="1234abcd", secret=Secret(CALLBACK_SECRET), in_container=False)
        # A part of a path is too much already.
        paths = {f"callback path of {link}": own.path(link).reveal()[-32:][:12] for link in (LINK, OTHER_LINK)}
        proofs = {f"proof {proof:.8}": proof for one in (self.bridge, self.other) for proof in one.proofs[-6:]}
        return {
            "token": TOKEN,
            "remembered token": OTHER_TOKEN,
            "paired token": NEW_TOKEN,
            "mqtt.password": PASSWORD,
            "web.password": WEB_PASSWORD,
            "callback secret": CALLBACK_SECRET,
            "a stranger's login": STRANGER_LOGIN,
            **paths,
            **proofs,
        }

    def outputs(self) -> Iterator[tuple[str, str | bytes]]:
        """Everything that came out so far."""
        for message in self.broker.log:
            yield "a topic", message.topic
            # The user's name at the broker is public: docs/security.md.
            yield message.topic, message.payload
            yield message.topic, message.response_topic or ""
            yield message.topic, message.correlation or b""
        for process in self.processes:
            yield from ((f"log ({log.level})", log.text) for log in process.logs)
            if isinstance(process, Telling):
                yield from process.shown

    def leaks(self) -> list[str]:
        """Where a mark shows."""
        return leaks(self.marks, self.outputs())
