"""The door for webhooks: what is signed and new comes in, everything else is turned away without a word of it."""

import asyncio
import hmac
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nuki2mqtt.adapters.post_door import MAX_IN_PROGRESS
from nuki2mqtt.adapters.webhook_server import MAX_BODY_BYTES, MOST_REMEMBERED, REMEMBER_S, WebhookServer
from nuki2mqtt.errors import WebhookDoorError
from nuki2mqtt.gateway.vocabulary import Moment, WebhookReceived
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.webhooks import OrderHook, UnknownHook, parse_webhook
from nuki2mqtt.simulator.house import House, SimulatedLock
from nuki2mqtt.simulator.web import SimulatedCloud
from nuki2mqtt.simulator.web_hooks import FEATURES
from nuki2mqtt.simulator.web_server import SimulatedCloudServer
from tests.stories.secrets_marks import leaks

SECRET = "5ecretMARKone0123456789abcdef0123456789a"
OTHER = "5ecretMARKtwo0123456789abcdef0123456789b"
CODE = "839275"
MARKS = {"secret": SECRET, "code": CODE}
PATH = "/nuki"
LOCKED = b'{"feature":"DEVICE_STATUS","smartlockId":17924610048,"state":{"mode":2,"state":1},"serverState":0}'
SHARED = Path(__file__).parents[2].parent / "shared" / "recorded" / "webhook"
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n"


def sign(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, "sha256").hexdigest()


def order(number: int, *, success: bool = True) -> bytes:
    """A body that is the same as another one with the same number."""
    return json.dumps({"type": "UnlockAction", "requestId": f"{number:024x}", "success": success}).encode()


class HandClock:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.monotonic = 1000.0

    def now(self) -> Moment:
        return Moment(self.monotonic, datetime(2026, 1, 1, tzinfo=UTC))


@dataclass
class Door:
    """An open door, and what came in."""

    port: int = 0
    clock: HandClock = field(default_factory=HandClock)
    events: list[WebhookReceived] = field(default_factory=list)
    is_full: bool = False

    def accept(self, event: WebhookReceived) -> bool:
        if not self.is_full:
            self.events.append(event)
        return not self.is_full

    async def knock(
        self, body: bytes = LOCKED, *, path: str = PATH, method: str = "POST", signature: str | None = None
    ) -> int:
        """Send one whole request, signed rightly unless it is said otherwise, and read the status."""
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        said = sign(body) if signature is None else signature
        return await self.say(f"{head}X-Nuki-Signature-SHA256: {said}\r\n\r\n".encode() + body)

    async def say(self, data: bytes) -> int:
        """Send these bytes, read to the end, and say the status."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            answer = await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()
        return int(answer.split()[1])


@asynccontextmanager
async def opened(body_timeout_s: float = 5.0) -> AsyncIterator[Door]:
    door = Door()
    async with WebhookServer(door.accept, clock=door.clock, body_timeout_s=body_timeout_s) as server:
        door.port = await server.open("127.0.0.1", 0, PATH, Secret(SECRET))
        yield door


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened() as door:
        yield door


# --- What comes in ------------------------------------------------------------------------------------------------


async def test_a_signed_webhook_is_told_with_its_time(door: Door) -> None:
    door.clock.monotonic = 1234.5
    assert await door.knock() == 200
    [event] = door.events
    assert (event.hooks, event.received) == (parse_webhook(LOCKED), 1234.5)


async def test_the_signature_is_that_of_the_raw_bytes(door: Door) -> None:
    odd = b'\xef\xbb\xbf {"feature" : "DEVICE_STATUS",\r\n "smartlockId": 17924610048, "state": {"state": 1}}\n'
    assert await door.knock(odd) == 200
    same = json.dumps(json.loads(LOCKED)).encode()
    assert same != LOCKED
    assert await door.knock(same, signature=sign(LOCKED)) == 403
    assert len(door.events) == 1


async def test_a_chunked_one_and_the_signature_in_upper_case(door: Door) -> None:
    head = f"{HEAD}Transfer-Encoding: chunked\r\nx-nuki-signature-sha256: {sign(LOCKED).upper()}\r\n\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (LOCKED[:7], LOCKED[7:]))
    assert await door.say(head.encode() + chunks + b"0\r\n\r\n") == 200
    assert len(door.events) == 1


@pytest.mark.skipif(not SHARED.is_dir(), reason="the recorded webhooks are not here")
async def test_every_recorded_webhook(door: Door) -> None:
    bodies = [path.read_bytes() for path in sorted(SHARED.glob("*.json")) if path.name != "03-webhook-log-entry.json"]
    assert [await door.knock(body) for body in bodies] == [200] * len(bodies)
    assert [event.hooks for event in door.events] == [parse_webhook(body) for body in bodies]


async def test_what_the_simulated_cloud_posts(door: Door) -> None:
    house, loop = House(now=1_700_000_000.0), asyncio.get_running_loop()
    cloud, began = SimulatedCloud(house), loop.time()
    cloud.tokens["t"] = frozenset({"smartlock.action"})
    lock = cloud.add(house.add(SimulatedLock(nuki_id=1, keypad_critical=False)))
    cloud.hooks.add(f"http://127.0.0.1:{door.port}{PATH}", frozenset(FEATURES), SECRET)
    cloud.hooks.add(f"http://127.0.0.1:{door.port}{PATH}", frozenset(FEATURES), OTHER)
    path = f"/smartlock/{lock.smartlock_id}/action"
    cloud.answer("POST", path, {}, {"Authorization": "Bearer t"}, b'{"action":2}', house.now)
    house.advance(house.now + 120)
    async with SimulatedCloudServer(cloud, clock=lambda: house.now + loop.time() - began) as server:
        statuses = [status for _, status in await server.deliver()]
    assert statuses.count(200) == len(statuses) / 2 == statuses.count(403)
    assert len(door.events) == statuses.count(200) > 0


# --- What does not ------------------------------------------------------------------------------------------------


REFUSED = {
    "another path": ({"path": "/nuki/"}, 404),
    "the root": ({"path": "/"}, 404),
    "longer": ({"path": "/nukix"}, 404),
    "encoded": ({"path": "/%6euki"}, 404),
    "upper case": ({"path": "/NUKI"}, 404),
    "a GET elsewhere": ({"path": "/metrics", "method": "GET"}, 404),
    "a GET": ({"method": "GET"}, 405),
    "a PUT": ({"method": "PUT"}, 405),
    "an OPTIONS": ({"method": "OPTIONS"}, 405),
    "an empty signature": ({"signature": ""}, 403),
    "a short one": ({"signature": sign(LOCKED)[:-1]}, 403),
    "a long one": ({"signature": sign(LOCKED) + "0"}, 403),
    "that of another secret": ({"signature": sign(LOCKED, OTHER)}, 403),
    "that of another body": ({"signature": sign(LOCKED + b" ")}, 403),
    "that of no secret": ({"signature": sign(LOCKED, "")}, 403),
    "no hex": ({"signature": "z" * 64}, 403),
    "no ASCII": ({"signature": "\N{FULLWIDTH DIGIT ONE}" * 64}, 403),
    "nothing": ({"body": b""}, 400),
    "no JSON": ({"body": f"code {CODE}".encode()}, 400),
    "a text": ({"body": f'"{CODE}"'.encode()}, 400),
    "an empty object": ({"body": b"{}"}, 400),
    "a broken entry": ({"body": f'{{"feature":"DEVICE_AUTHS","smartlockAuth":{CODE}}}'.encode()}, 400),
    "too deep": ({"body": b"[" * 100_000}, 400),
}


@pytest.mark.parametrize(("how", "status"), REFUSED.values(), ids=REFUSED)
async def test_refusals(door: Door, how: dict[str, object], status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert await door.knock(**how) == status  # type: ignore[arg-type]
    assert door.events == []
    records = [record for record in caplog.records if record.name.startswith("nuki2mqtt")]
    assert [record.levelname for record in records] == ["WARNING"]
    assert f"Refused a webhook from 127.0.0.1 with {status}: " in caplog.text
    assert leaks(MARKS, [("log", caplog.text)]) == []


async def test_without_a_signature_no_body_is_read(door: Door) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(f"{HEAD}Content-Length: 100\r\nX-Nuki-Signature: {'0' * 40}\r\n\r\n".encode())
    assert (await reader.readline()).split()[1] == b"403"  # before a byte of the body was sent
    writer.close()
    await writer.wait_closed()


async def test_an_empty_secret_lets_nobody_in() -> None:
    door = Door()
    async with WebhookServer(door.accept, clock=door.clock) as server:
        door.port = await server.open("127.0.0.1", 0, PATH, Secret(""))
        assert await door.knock(signature=sign(LOCKED, "")) == 403
    assert door.events == []


async def test_the_bound_of_a_body(door: Door) -> None:
    assert await door.knock(LOCKED.ljust(MAX_BODY_BYTES)) == 200
    head = f"{HEAD}Content-Length: {MAX_BODY_BYTES + 1}\r\nX-Nuki-Signature-SHA256: {'0' * 64}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(head.encode())
    assert (await reader.readline()).split()[1] == b"413"
    writer.close()
    await writer.wait_closed()


async def test_a_packed_body_is_not_unpacked(door: Door) -> None:
    head = f"{HEAD}Content-Encoding: deflate\r\nContent-Length: {len(LOCKED)}\r\n"
    assert await door.say(f"{head}X-Nuki-Signature-SHA256: {sign(LOCKED)}\r\n\r\n".encode() + LOCKED) == 200


async def test_a_slow_body_is_408() -> None:
    async with opened(body_timeout_s=0.05) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(f"{HEAD}Content-Length: 100\r\nX-Nuki-Signature-SHA256: {'0' * 64}\r\n\r\n{{".encode())
        assert (await reader.readline()).split()[1] == b"408"
        writer.close()
        await writer.wait_closed()


async def test_a_flood_takes_all_places_and_then_gives_them_back(door: Door) -> None:
    async def begin(stack: AsyncExitStack, signature: str) -> None:
        _reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        stack.callback(writer.close)
        writer.write(f"{HEAD}Content-Length: 9\r\nX-Nuki-Signature-SHA256: {signature}\r\n\r\n".encode())
        await writer.drain()

    async def knock_until(status: int) -> None:
        async with asyncio.timeout(10):
            while await door.knock() != status:
                pass

    async with AsyncExitStack() as strangers:
        for _ in range(MAX_IN_PROGRESS + 1):
            await begin(strangers, "unsigned")
        assert await door.knock() == 200
        async with AsyncExitStack() as pretenders:
            for _ in range(MAX_IN_PROGRESS):
                await begin(pretenders, "0" * 64)
            await knock_until(503)
        await knock_until(200)


# --- Repeats ------------------------------------------------------------------------------------------------------


async def test_the_same_is_told_once_within_an_hour(door: Door) -> None:
    assert [await door.knock(order(1)) for _ in range(3)] == [200] * 3
    assert len(door.events) == 1
    door.clock.monotonic += REMEMBER_S - 1
    assert await door.knock(order(1, success=False)) == 200  # another body with the same key
    assert len(door.events) == 1
    door.clock.monotonic += 1
    await door.knock(order(1))
    assert len(door.events) == 2


async def test_a_state_is_told_each_time(door: Door) -> None:
    assert [await door.knock() for _ in range(2)] == [200] * 2
    assert len(door.events) == 2


async def test_of_a_list_only_what_is_new_is_told(door: Door) -> None:
    await door.knock(order(1))
    await door.knock(b"[" + b",".join((order(1), order(2), order(2), b'{"feature":"NEW"}')) + b"]")
    last = door.events[-1].hooks
    assert [type(hook) for hook in last] == [OrderHook, UnknownHook]
    assert isinstance(last[0], OrderHook)
    assert last[0].request_id == f"{2:024x}"


async def test_a_full_inbox_is_503_and_the_repeat_is_taken(door: Door) -> None:
    door.is_full = True
    assert await door.knock(order(1)) == 503
    door.is_full = False
    assert await door.knock(order(1)) == 200
    assert len(door.events) == 1


async def test_what_is_remembered_is_bounded(door: Door) -> None:
    for start in range(0, MOST_REMEMBERED + 1, 91):
        await door.knock(b"[" + b",".join(order(start + number) for number in range(91)) + b"]")
    told = len(door.events)
    await door.knock(order(MOST_REMEMBERED))
    assert len(door.events) == told
    await door.knock(order(0))
    assert len(door.events) == told + 1


# --- Whatever comes -----------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.one_of(
        st.binary(max_size=300),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["feature", "smartlockId", "state", "requestId", "success", "detail", "smartlockAuth"]
                    ),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=8,
        ).map(lambda value: json.dumps(value).encode()),
    ),
    is_signed=st.booleans(),
)
def test_any_body_is_taken_or_refused(body: bytes, *, is_signed: bool) -> None:
    async def once() -> tuple[int, int]:
        async with opened() as door:
            status = await door.knock(body, signature=None if is_signed else sign(body, OTHER))
            return status, len(door.events)

    status, events = asyncio.run(once())
    if not is_signed:
        assert (status, events) == (403, 0)
    else:
        assert status in {200, 400}
        assert events == (1 if status == 200 and json.loads(body) != [] else 0)


# --- Logs, opening and closing ------------------------------------------------------------------------------------


async def test_one_line_a_minute_for_each_reason(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        await door.knock(signature="0" * 64)
        await door.knock(b"{}")
    assert len(caplog.records) == 2
    door.clock.monotonic += 60
    await door.knock(signature="0" * 64)
    assert len(caplog.records) == 3


async def test_a_mistake_of_ours_is_logged_and_is_500(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_event: WebhookReceived) -> bool:
        raise LookupError("surprise")

    async with WebhookServer(fail) as server:
        door = Door(port=await server.open("127.0.0.1", 0, PATH, Secret(SECRET)))
        assert await door.knock() == 500
    assert "surprise" in caplog.text
    assert leaks(MARKS, [("log", caplog.text)]) == []


async def test_a_taken_port_is_said_with_the_next_step() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        async with WebhookServer(Door().accept) as server:
            with pytest.raises(
                WebhookDoorError, match=rf"port {port} \(Address already in use\).*nuki_web.webhook.port"
            ):
                await server.open("127.0.0.1", port, PATH, Secret(SECRET))


@pytest.mark.parametrize("host", ["192.0.2.1", "a..b"])
async def test_an_address_that_is_not_ours(host: str) -> None:
    async with WebhookServer(Door().accept) as server:
        with pytest.raises(WebhookDoorError, match=r"(not an address|assign requested).*nuki_web\.webhook\.host"):
            await server.open(host, 0, PATH, Secret(SECRET))


async def test_opening_again_replaces_path_and_secret() -> None:
    door = Door()
    async with WebhookServer(door.accept, clock=door.clock) as server:
        door.port = await server.open("127.0.0.1", 0, PATH, Secret(SECRET))
        assert await server.open("127.0.0.1", door.port, "/other", Secret(OTHER)) == door.port
        assert await door.knock() == 404
        assert await door.knock(path="/other") == 403
        assert await door.knock(path="/other", signature=sign(LOCKED, OTHER)) == 200
        await server.close()
        with pytest.raises(ConnectionRefusedError):
            await door.knock()
