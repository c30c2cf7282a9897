"""`nuki2mqtt check`: settings, broker, Bridges, callbacks, Nuki's cloud and clock, one line each with the next step.

Beside a running service it asks the Bridges a few questions of its own; what only the service can know (the
callback lease) is read from its health on MQTT.
"""

import asyncio
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from nuki2mqtt.adapters.bridge_http import BridgeHttp
from nuki2mqtt.adapters.clock import SystemClock, SystemEntropy
from nuki2mqtt.adapters.container import is_in_container
from nuki2mqtt.adapters.log_output import configure_logging
from nuki2mqtt.adapters.mqtt_link import MqttEvent, MqttLink
from nuki2mqtt.adapters.state_file import read_memory
from nuki2mqtt.errors import BridgeError, BridgeErrorKind
from nuki2mqtt.faces.check_cloud import look_at_cloud
from nuki2mqtt.faces.setup import EXIT_FAILED, EXIT_OK, Setup
from nuki2mqtt.gateway.bridge_clock import BridgeClock
from nuki2mqtt.gateway.bridge_problems import container_address, failure, nameless, pair_command, slots_full
from nuki2mqtt.gateway.callback_lease import PATH_PREFIX, SLOTS, is_container_internal
from nuki2mqtt.gateway.learnt_bridges import followed_bridges
from nuki2mqtt.gateway.vocabulary import (
    ConnectMqtt,
    MqttConnected,
    MqttLost,
    MqttReceived,
    MqttSubscribed,
    Subscription,
)
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_api import (
    Answer,
    BridgeRequest,
    CallbackListAnswer,
    CallbackListRequest,
    InfoAnswer,
    InfoRequest,
)
from nuki2mqtt.protocol.bridge_auth import AuthMode, sign
from nuki2mqtt.protocol.bridge_texts import hide
from nuki2mqtt.protocol.settings import BridgeSettings
from nuki2mqtt.protocol.settings_words import AuthSetting
from nuki2mqtt.protocol.topics import TopicTree

BROKER_S = 15.0
RETAINED_S = 1.0
GAP_S = 1.0
BUSY_S = 3.0
MAX_SKEW_S = 30.0


@dataclass(frozen=True, slots=True)
class Line:
    """One finding: about what, whether it is well, and the next step where it is not."""

    subject: str
    is_well: bool
    text: str

    def __str__(self) -> str:
        return f"{'ok  ' if self.is_well else 'FAIL'}  {self.subject:<10} {self.text}"


def check(setup: Setup) -> int:
    """Print all findings; status 1 if one of them is not well."""
    configure_logging(setup.settings.log.level, setup.settings.log.format, setup.secrets)
    lines = asyncio.run(_check(setup))
    return EXIT_OK if all(line.is_well for line in lines) else EXIT_FAILED


async def _check(setup: Setup) -> list[Line]:
    lines: list[Line] = []

    def say(line: Line) -> None:
        lines.append(line)
        print(line, flush=True)

    for line in _settings(setup):
        say(line)
    broker, health = await _broker(setup)
    say(broker)
    for line in await _bridges(setup, health):
        say(line)
    web_token = setup.settings.nuki_web.token
    if web_token is not None:
        is_well, text = await look_at_cloud(setup, web_token)
        say(Line("cloud", is_well, text))
    say(_clock())
    return lines


def _settings(setup: Setup) -> Iterator[Line]:
    count = len(followed_bridges(setup.settings, read_memory(setup.state_dir).bridges))
    if count == 0 and setup.settings.nuki_web.token is not None:
        yield Line("settings", True, f"readable, no Bridge but Nuki Web, state in {setup.state_dir}")
    elif count == 0:
        text = "readable, but no Bridge is configured or paired: nuki2mqtt find shows its address and the next command"
        yield Line("settings", False, text)
    else:
        yield Line("settings", True, f"readable, {count} Bridge{'s' if count > 1 else ''}, state in {setup.state_dir}")
    for warning in setup.settings.warnings:
        yield Line("settings", True, f"note: {warning}")


async def _broker(setup: Setup) -> tuple[Line, dict[str, Any] | None]:
    """The broker, and the health of a service that runs on the same base topic."""
    mqtt, entropy = setup.settings.mqtt, SystemEntropy()
    tree = TopicTree(mqtt.base_topic, setup.settings.homeassistant.prefix)
    events: asyncio.Queue[MqttEvent] = asyncio.Queue()
    link = MqttLink(mqtt, f"nuki2mqtt-check-{entropy.token(4)}", emit=events.put, jitter=entropy.fraction)
    topics = (tree.gateway_state, tree.gateway_health)
    link.connect(ConnectMqtt(None, tuple(Subscription(topic, qos=0) for topic in topics)))
    running = asyncio.create_task(link.run())
    where = f"{mqtt.host}:{mqtt.port}"
    retained: dict[str, bytes] = {}
    protocol = ""
    try:
        async with asyncio.timeout(BROKER_S) as limit:
            while True:
                match await events.get():
                    case MqttLost(reason):
                        return Line("broker", False, f"{where}: {reason}"), None
                    case MqttConnected(name):
                        protocol = name
                    case MqttSubscribed():
                        limit.reschedule(asyncio.get_running_loop().time() + RETAINED_S)
                    case MqttReceived(topic, payload):
                        retained[topic] = payload
                    case _:
                        pass
    except TimeoutError:
        pass
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    if not protocol:
        return Line("broker", False, f"{where}: no answer within {BROKER_S:.0f} s; check mqtt.host and mqtt.port"), None
    health = _read_health(retained.get(tree.gateway_health))
    is_running = retained.get(tree.gateway_state) == b"online"
    also = "a service is online there" if is_running else "no service is online there"
    return Line("broker", True, f"{where}, MQTT {protocol}, {also}"), health if is_running else None


def _read_health(body: bytes | None) -> dict[str, Any] | None:
    try:
        value = json.loads(body or b"")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


async def _bridges(setup: Setup, health: dict[str, Any] | None) -> list[Line]:
    lines: list[Line] = []
    async with BridgeHttp() as http:
        for one in followed_bridges(setup.settings, read_memory(setup.state_dir).bridges):
            bridge = one.bridge if one.bridge.id is not None else replace(one.bridge, id=one.memory.bridge_id)
            token = bridge.token or one.memory.token
            subject = "bridge"
            if token is None:
                text = f"{bridge.link} has no token: {pair_command(bridge)}"
                lines.append(Line(subject, False, text))
                continue
            lines += await _bridge(setup, http, bridge, token, one.memory.auth, health)
    return lines


async def _bridge(
    setup: Setup,
    http: BridgeHttp,
    bridge: BridgeSettings,
    token: Secret,
    learnt: AuthMode | None,
    health: dict[str, Any] | None,
) -> list[Line]:
    caller = _Caller(http, bridge, token)
    try:
        answer = await caller.first_contact(learnt)
    except BridgeError as error:
        text = failure(bridge, error, SystemClock().now().wall)
        return [Line("bridge", False, text)]
    lines = [_identity(bridge, answer, caller.mode)]
    if not lines[0].is_well:
        return lines  # nothing more is signed for a stranger
    if answer.current_time is not None:
        skew_s = BridgeClock.read(answer.current_time, SystemClock().now(), travelled_s=0.0).skew_s
        is_well = abs(skew_s) < MAX_SKEW_S
        step = "" if is_well else "; beyond 60 s tokens are refused: give the Bridge internet, or correct this machine"
        lines.append(Line("clock", is_well, f"{bridge.link} runs {skew_s:+.0f} s beside this machine{step}"))
    lines.append(await _callback(setup, caller, bridge, health))
    return lines


class _Caller:
    """Asks one Bridge, with a pause between requests."""

    def __init__(self, http: BridgeHttp, bridge: BridgeSettings, token: Secret) -> None:
        self._http = http
        self._bridge = bridge
        self._token = token
        self._entropy = SystemEntropy()
        self.mode = AuthMode.ENCRYPTED
        self.local_host: str | None = None

    async def first_contact(self, learnt: AuthMode | None) -> InfoAnswer:
        """Read `/info` in the mode that is configured or learnt, else encrypted, then hashed."""
        if self._bridge.auth is not AuthSetting.AUTO:
            modes = [AuthMode(self._bridge.auth.value)]
        else:
            modes = [AuthMode.ENCRYPTED, AuthMode.HASHED] if learnt is None else [learnt]
        for mode in modes:
            self.mode = mode
            try:
                answer = await self.ask(InfoRequest())
            except BridgeError as error:
                if error.kind is not BridgeErrorKind.TOKEN_REFUSED or mode is modes[-1]:
                    raise
                await asyncio.sleep(GAP_S)  # the Bridge's rest between two requests
            else:
                if isinstance(answer, InfoAnswer):
                    return answer
        raise BridgeError(BridgeErrorKind.UNREADABLE, "no answer to /info")

    async def ask(self, request: BridgeRequest) -> Answer:
        """One request, and another if the Bridge was busy: the running service asks it, too."""
        try:
            return await self._send(request)
        except BridgeError as error:
            if error.kind is not BridgeErrorKind.BUSY:
                raise
        await asyncio.sleep(BUSY_S)
        return await self._send(request)

    async def _send(self, request: BridgeRequest) -> Answer:
        params = sign(
            self._token,
            self.mode,
            now=SystemClock().now().wall,
            rnr=self._entropy.rnr(),
            nonce=self._entropy.nonce(),
        )
        try:
            answer, local_host = await self._http.send(self._bridge.host, self._bridge.port, request, params)
        except BridgeError as error:
            failed = BridgeError(error.kind, hide(error.detail, [self._token]))
        else:
            self.local_host = local_host or self.local_host
            return answer
        raise failed


def _identity(bridge: BridgeSettings, answer: InfoAnswer, mode: AuthMode) -> Line:
    seen = answer.bridge_id
    firmware = answer.firmware or answer.app_version or "unknown"
    if bridge.id is not None and seen is not None and seen != bridge.id:
        text = f"{bridge.link} is Bridge {seen}, but {bridge.id} is expected there: correct `id` or the address"
        return Line("bridge", False, text)
    if bridge.id is not None and seen is None:
        return Line("bridge", False, nameless(bridge.link))
    cloud = {True: "cloud connected", False: "no cloud", None: "cloud unknown"}[answer.server_connected]
    return Line("bridge", True, f"{bridge.link} is {seen}, firmware {firmware}, token {mode}, {cloud}")


async def _callback(setup: Setup, caller: _Caller, bridge: BridgeSettings, health: dict[str, Any] | None) -> Line:
    callback = setup.settings.callback
    if not callback.enabled:
        return Line("callback", True, "off: changes are seen by polling only")
    running = _lease_in(health, bridge.link)
    if running is not None:
        is_well = running == "held"
        step = "" if is_well else "; see the service's log for the reason"
        return Line("callback", is_well, f"{bridge.link}: the running service says {running!r}{step}")
    host = caller.local_host if callback.host == "auto" else callback.host
    if callback.host == "auto" and is_in_container() and is_container_internal(host or "", bridge.host):
        return Line("callback", False, container_address(bridge.link, host or "?"))
    if not _is_port_free(callback.bind, callback.port):
        text = f"port {callback.port} is in use: stop what uses it or set another callback.port"
        return Line("callback", False, text)
    await asyncio.sleep(GAP_S)  # the Bridge's rest between two requests
    try:
        answer = await caller.ask(CallbackListRequest())
    except BridgeError as error:
        return Line("callback", False, failure(bridge, error, SystemClock().now().wall))
    if not isinstance(answer, CallbackListAnswer):
        return Line("callback", False, f"{bridge.link} does not tell its callback slots")
    if len(answer.slots) >= SLOTS and not any(PATH_PREFIX in slot.url for slot in answer.slots):
        return Line("callback", False, slots_full(bridge.link, answer.slots))
    text = (
        f"{bridge.link} will call http://{host}:{callback.port}, {SLOTS - len(answer.slots)} of {SLOTS} slots free; "
        "whether it gets through shows when a door moves: `lost_callbacks` in gateway/health"
    )
    return Line("callback", True, text)


def _lease_in(health: dict[str, Any] | None, link: str) -> str | None:
    bridges = health.get("bridges") if health is not None else None
    if not isinstance(bridges, list):
        return None
    for bridge in bridges:
        if isinstance(bridge, dict) and bridge.get("address") == link:
            return str(bridge.get("callback"))
    return None


def _is_port_free(bind: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError:
            return False
    return True


def _clock() -> Line:
    now = SystemClock().now()
    time = f"{now.wall:%Y-%m-%d %H:%M:%S} UTC"
    match now.is_synchronised:
        case True:
            return Line("clock", True, f"{time}, synchronised")
        case False:
            step = "switch time synchronisation on (timedatectl set-ntp true); tokens need it to a minute"
            return Line("clock", True, f"{time}, not synchronised: {step}")
        case None:
            return Line("clock", True, f"{time}; the system does not say whether it is synchronised")
