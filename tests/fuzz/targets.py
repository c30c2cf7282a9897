# ruff: noqa: PT017 - a target says itself what an error must hold; there is no pytest around it
"""What is fuzzed: every reader of foreign bytes as a function of bytes, which raises nothing but a real mistake.

A target catches the one error that its reader documents. Whatever else it raises is a mistake of the product, and so is
a value that cannot be written again. The tests here and `atheris_targets.py` share this table.
"""

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from nuki2mqtt.adapters import state_file
from nuki2mqtt.adapters.log_output import redact
from nuki2mqtt.adapters.state_codec import read_state, render_state
from nuki2mqtt.errors import BridgeError, SettingsError, StateFileError, UnreadableBody, WebError
from nuki2mqtt.faces.listed import read_devices
from nuki2mqtt.faces.outcome import read_step
from nuki2mqtt.faces.overview import read_overview
from nuki2mqtt.faces.overview_lines import render_lines
from nuki2mqtt.faces.retained import Retained, read_object
from nuki2mqtt.faces.status import render_body
from nuki2mqtt.faces.watch import describe
from nuki2mqtt.gateway.callback_lease import OwnCallback, masked_url, view_slots
from nuki2mqtt.gateway.vocabulary import MqttReceived
from nuki2mqtt.model.bridge import CallbackSlot
from nuki2mqtt.model.command import Status
from nuki2mqtt.model.device import NukiId
from nuki2mqtt.model.keypad import KeypadCode
from nuki2mqtt.model.keypad_order import KeypadPhase, KeypadReason
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.bridge_api import (
    AuthRequest,
    BridgeRequest,
    CallbackAddRequest,
    CallbackListAnswer,
    CallbackListRequest,
    CallbackRemoveRequest,
    ConfigAuthRequest,
    InfoRequest,
    ListRequest,
    LockActionRequest,
    LockStateRequest,
    LogRequest,
    RebootRequest,
    SimpleLockRequest,
    UnpairRequest,
    parse_callback,
    read_response,
)
from nuki2mqtt.protocol.command_payloads import (
    BadCommand,
    CommandResult,
    parse_command,
    parse_get,
    parse_request,
    render_response,
    render_result,
)
from nuki2mqtt.protocol.command_words import find_action
from nuki2mqtt.protocol.keypad_payloads import (
    KeypadResult,
    parse_keypad_order,
    parse_schedule,
    render_keypad_result,
    schedule_body,
)
from nuki2mqtt.protocol.payloads import parse_claim, parse_retained_snapshot
from nuki2mqtt.protocol.settings_reader import read_settings
from nuki2mqtt.protocol.topics import TopicTree, choose_slugs, is_device_topic, slug, slug_with_id
from nuki2mqtt.protocol.web_api import (
    AccountRequest,
    AccountUserListRequest,
    ActivityAnswer,
    ActivityRequest,
    AuthorizationListAnswer,
    AuthorizationListRequest,
    AuthorizationPageRequest,
    AuthorizationRequest,
    CodeCreateRequest,
    DeviceListAnswer,
    DeviceListRequest,
    DeviceRequest,
    WebhookAddRequest,
    WebhookListRequest,
    WebRequest,
)
from nuki2mqtt.protocol.web_api import read_response as read_web_response
from nuki2mqtt.protocol.webhooks import Hook, is_signed, parse_webhook, repeat_key

Target = Callable[[bytes], None]

MOST_CPU_S = 5.0  # for one input of 64 KiB at most; the slowest takes a small part of it
TREE = TopicTree("nuki2mqtt", "homeassistant")
NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
DEVICE = NukiId(0x1A2B3C4D)
OWN = OwnCallback("192.0.2.5", 8321, Secret("/callback/1234abcd/5ec4e7"), "1234abcd")
STATUSES = (200, 400, 401, 403, 404, 410, 500, 503)
REQUESTS: dict[str, BridgeRequest] = {
    "list": ListRequest(),
    "info": InfoRequest(),
    "lock_state": LockStateRequest(DEVICE, 4),
    "lock_action": LockActionRequest(DEVICE, 4, 1, nowait=True),
    "simple_lock": SimpleLockRequest(DEVICE, 4),
    "callback_list": CallbackListRequest(),
    "callback_add": CallbackAddRequest(OWN.url()),
    "callback_remove": CallbackRemoveRequest(0),
    "log": LogRequest(),
    "auth": AuthRequest(),
    "config_auth": ConfigAuthRequest(enable=True),
    "unpair": UnpairRequest(DEVICE, 4),
    "reboot": RebootRequest(),
}


WEB_CODE = Secret("839275")
WEB_REQUESTS: dict[str, WebRequest] = {
    "web_devices": DeviceListRequest(),
    "web_device": DeviceRequest(17924610048),
    "web_auths": AuthorizationListRequest(),
    "web_auth_page": AuthorizationPageRequest(),
    "web_auth": AuthorizationRequest(17924610048, "65219648fe00000000000d01"),
    "web_code": CodeCreateRequest(17924610048, KeypadCode(name="Cleaner", code=WEB_CODE)),
    "web_log": ActivityRequest(),
    "web_account": AccountRequest(),
    "web_users": AccountUserListRequest(),
    "web_hooks": WebhookListRequest(),
    "web_hook": WebhookAddRequest(Secret("https://hook.example.org/5ec4e7")),
}
WEB_REFUSALS = (300, 400, 401, 402, 403, 404, 405, 409, 423, 426, 429, 500, 502, 503)


def _is_one_line(text: str) -> bool:
    return text.isprintable() or not any(char < " " or char in "\x7f\x85\u2028\u2029" for char in text)


def callback(body: bytes) -> None:
    try:
        report = parse_callback(body)
    except UnreadableBody as error:
        assert _is_one_line(str(error))
    else:
        assert report.state is not None


def answer_to(request: BridgeRequest) -> Target:
    def read(body: bytes) -> None:
        try:
            answer = read_response(request, 200, body)
        except BridgeError as error:
            assert _is_one_line(error.detail), error.detail
            assert len(error.detail) <= 120
            return
        assert answer == read_response(request, 200, body)
        if isinstance(answer, CallbackListAnswer):
            view_slots(answer.slots, OWN)
            for slot in answer.slots:
                OWN.is_own(slot)
                masked_url(slot.url)

    return read


def refusal(body: bytes) -> None:
    """Whatever stands behind another status than 200; the first byte chooses request and status."""
    requests = list(REQUESTS.values())
    request = requests[body[0] % len(requests)] if body else requests[0]
    for status in STATUSES[1:]:
        try:
            read_response(request, status, body[1:])
        except BridgeError as error:
            assert _is_one_line(error.detail), error.detail
            assert len(error.detail) <= 100
        else:
            raise AssertionError("a refusal was taken for an answer")


def web_answer_to(request: WebRequest) -> Target:
    def read(body: bytes) -> None:
        try:
            answer = read_web_response(request, 200, body)
        except WebError as error:
            assert _is_one_line(error.detail), error.detail
            assert len(error.detail) <= 150
            return
        assert answer == read_web_response(request, 200, body)
        match answer:
            case DeviceListAnswer(devices):
                for device in devices:
                    assert device.report.nuki_id.value == device.smartlock_id & 0xFFFFFFFF
                    str((device.last_action, device.trigger, device.facts.server_state, device.facts.time_zone_name))
            case AuthorizationListAnswer(authorizations):
                for one in authorizations:
                    assert one.code is None or one.code.reveal().isdigit()
                    parse_schedule(json.loads(json.dumps(schedule_body(one.schedule))), None)
            case ActivityAnswer(activities):
                for entry in activities:
                    str((entry.action, entry.trigger, entry.completion, entry.via(), entry.is_entry_refused))
                    assert _is_one_line(entry.actor({}) or "")

    return read


def web_refusal(body: bytes) -> None:
    """Whatever the cloud says behind a refusal, and a Retry-After of the same text; a code never comes back."""
    header = body[:60].decode("latin-1")
    for status in WEB_REFUSALS:
        try:
            read_web_response(WEB_REQUESTS["web_code"], status, body, retry_after=header, now=NOW)
        except WebError as error:
            assert _is_one_line(error.detail), error.detail
            assert len(error.detail) <= 150
            assert WEB_CODE.reveal() not in f"{error} {error!r} {error.value} {error.parameter}"
            assert error.retry_after_s is None or 1 <= error.retry_after_s <= 3600
        else:
            raise AssertionError("a refusal was taken for an answer")


def webhook(body: bytes) -> None:
    assert not is_signed(body, body[:64].decode("latin-1"), WEB_CODE)
    try:
        hooks: tuple[Hook, ...] = parse_webhook(body)
    except UnreadableBody as error:
        assert _is_one_line(str(error))
        return
    for hook in hooks:
        assert WEB_CODE.reveal() not in repr(getattr(getattr(hook, "authorization", None), "code", None))
        repeat_key(hook)


def keypad(payload: bytes) -> None:
    for zone in (None, UTC):
        reason: KeypadReason | None = None
        try:
            order = parse_keypad_order(payload, zone)
        except BadCommand as error:
            transaction, op, reason = error.transaction, error.word, KeypadReason.BAD_PAYLOAD
            assert _is_one_line(str(error))
            assert len(str(error)) <= 200
        else:
            transaction, op = order.transaction, str(order.op)
            if order.schedule is not None:
                assert parse_schedule(json.loads(json.dumps(schedule_body(order.schedule))), None) == order.schedule
        result = KeypadResult(transaction=transaction, op=op, phase=KeypadPhase.REFUSED, reason=reason)
        assert json.loads(render_keypad_result(result, publish_codes=False))["transaction"] == transaction


def slots(body: bytes) -> None:
    """The URL of somebody's slot."""
    slot = CallbackSlot(0, body.decode(errors="replace"))
    OWN.is_own(slot)
    masked_url(slot.url)
    view_slots((slot,), OWN)


def command(payload: bytes) -> None:
    try:
        order = parse_command(payload)
    except BadCommand as error:
        transaction, shown = error.transaction, error.word
    else:
        transaction, shown = order.transaction, order.shown_word
        assert order.key is None or len(order.key) <= 7000
        for device_type in (0, 2, 3, 4, 77):
            find_action(order.word, device_type)
    said = json.loads(render_result(CommandResult(transaction=transaction, action=shown, status=Status.REFUSED)))
    assert said["transaction"] == transaction


def get(payload: bytes) -> None:
    try:
        transaction = parse_get(payload).transaction
    except BadCommand as error:
        transaction = error.transaction
    assert json.loads(render_response({}, None, transaction))["transaction"] == transaction


def request(payload: bytes) -> None:
    try:
        transaction = parse_request(payload).transaction
    except BadCommand as error:
        transaction = error.transaction
    assert json.loads(render_response({}, "no", transaction))["transaction"] == transaction


def topics(body: bytes) -> None:
    """A topic of somebody, and a name."""
    text = body.decode(errors="surrogateescape")[:65535]
    TREE.parse(text)
    TREE.addressee(text)
    TREE.bridge_of(text)
    TREE.device_topic(text)
    if TREE.may_respond(text):
        assert TREE.parse(text) is None
    for made in (slug(text, DEVICE), slug_with_id(text, DEVICE), *choose_slugs({DEVICE: text}, ()).values()):
        assert is_device_topic(made), made
        assert 0 < len(made) <= 45, made
        assert set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")


def settings(body: bytes) -> None:
    try:
        read_settings(body.decode(errors="replace"), read_file=_no_file)
    except SettingsError as error:
        assert error.problems
        assert all(problem.place and _is_one_line(str(problem)) for problem in error.problems)


def environment(body: bytes) -> None:
    """Lines of NAME=VALUE, each once as a variable and once as `--set`."""
    pairs = [line.partition("=") for line in body.decode(errors="surrogateescape").split("\n")]
    environ = {f"NUKI2MQTT_{name}": value for name, _, value in pairs if name != "CONFIG"}
    overrides = {name: value for name, _, value in pairs}
    for variables, options in ((environ, {}), ({}, overrides)):
        try:
            read_settings(None, environ=variables, overrides=options, read_file=_no_file)
        except SettingsError as error:
            assert error.problems


def _no_file(_: str) -> str:
    raise FileNotFoundError(2, "No such file or directory")


def state(body: bytes) -> None:
    try:
        contents = read_state(body)
    except (UnreadableBody, StateFileError):
        return
    again = read_state(render_state(contents))
    assert (again.memory, again.seed, again.dropped) == (contents.memory, contents.seed, ())
    for entry in contents.memory.journal.values():
        entry.read_transaction()
        entry.read_correlation()


def pairing(body: bytes) -> None:
    try:
        found = state_file._read_pairings(body)
    except UnreadableBody:
        return
    assert all(one.token for one in found.values())


def retained(payload: bytes) -> None:
    """A retained message on every topic that `status`, `act`, `watch` and the gateway read."""
    parse_retained_snapshot(payload)
    parse_claim(payload)
    read_devices(payload)
    step = read_step(read_object(payload))
    str(step)
    levels = ("gateway/state", "gateway/info", "gateway/health", "gateway/devices", "front_door", "front_door/result")
    kept = {f"nuki2mqtt/{level}": payload for level in (*levels, "bridge/0A1B2C3D", "bridge/0A1B2C3D/availability")}
    for messages in (kept, {TREE.gateway_state: b"online", TREE.gateway_health: payload}):
        overview = read_overview(Retained("5", messages), TREE, "here")
        lines = [str(line) for line in render_lines(overview, NOW)]
        assert all(_is_one_line(line) for line in lines)
        json.dumps(render_body(overview))
    for topic in kept:
        assert _is_one_line(describe(TREE, MqttReceived(topic, payload)))


def log_line(body: bytes) -> None:
    """Any text in a log line; what is cleared of secrets is clear."""
    once = redact(body.decode(errors="replace"))
    assert redact(once) == once


TARGETS: dict[str, Target] = {
    "callback": callback,
    **{name: answer_to(one) for name, one in REQUESTS.items()},
    **{name: web_answer_to(one) for name, one in WEB_REQUESTS.items()},
    "web_refusal": web_refusal,
    "webhook": webhook,
    "keypad": keypad,
    "refusal": refusal,
    "slots": slots,
    "command": command,
    "get": get,
    "request": request,
    "topics": topics,
    "settings": settings,
    "environment": environment,
    "state": state,
    "pairing": pairing,
    "retained": retained,
    "log_line": log_line,
}


def run(name: str, body: bytes) -> None:
    """One input through one target, within bounded time."""
    began = time.process_time()
    TARGETS[name](body)
    assert time.process_time() - began < MOST_CPU_S, f"{name} took too long"


logging.getLogger("nuki2mqtt").addHandler(logging.NullHandler())
