"""The way to the cloud: against the simulated one for every call, and against servers that are broken or none."""

import asyncio
import gzip
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, get_args

import pytest

from nuki2mqtt import __version__
from nuki2mqtt.adapters.nuki_web import MOST_BODY_BYTES, NukiWeb
from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.model.keypad import KeypadCode
from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.web_api import (
    AccountAnswer,
    AccountRequest,
    AccountUserListRequest,
    ActivityAnswer,
    ActivityRequest,
    AuthorizationAnswer,
    AuthorizationDeleteManyRequest,
    AuthorizationDeleteRequest,
    AuthorizationListAnswer,
    AuthorizationListRequest,
    AuthorizationPageAnswer,
    AuthorizationPageRequest,
    AuthorizationRequest,
    CodeCreateManyRequest,
    CodeCreateRequest,
    CodeUpdateManyRequest,
    CodeUpdateRequest,
    DeviceActionRequest,
    DeviceAnswer,
    DeviceListAnswer,
    DeviceListRequest,
    DeviceRequest,
    DoneAnswer,
    SyncRequest,
    WebAnswer,
    WebhookAddRequest,
    WebhookAnswer,
    WebhookDeleteRequest,
    WebhookListAnswer,
    WebhookListRequest,
    WebRequest,
)
from nuki2mqtt.simulator.house import House, SimulatedLock
from nuki2mqtt.simulator.web import SimulatedCloud
from nuki2mqtt.simulator.web_routes import SCOPES
from nuki2mqtt.simulator.web_server import SimulatedCloudServer
from tests.adapters.certificates import Authority, needs_openssl
from tests.adapters.raw_servers import (
    BROKEN,
    Handler,
    RawServer,
    dripping,
    plain_response,
    pouring,
    reset,
    saying,
    saying_and_waiting,
    serving,
)
from tests.stories.secrets_marks import leaks

TOKEN = Secret("t0kenMARKone.two-3")
CODE = Secret("839275")
MARKS = {"token": TOKEN.reveal(), "code": CODE.reveal()}
DEVICE = 17924610048
AUTH_ID = "65219648fe00000000000d01"
WANTED = KeypadCode(name="Guest", code=CODE)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
EMPTY_LIST = plain_response("200 OK", b"[]", "Content-Type: application/json")
DONE = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
# One of each method; aiohttp holds three of these for repeatable.
ONE_OF_EACH: dict[str, WebRequest] = {
    "GET": DeviceListRequest(),
    "POST": DeviceActionRequest(DEVICE, 3),
    "PUT": CodeCreateRequest(DEVICE, WANTED),
    "DELETE": AuthorizationDeleteRequest(DEVICE, AUTH_ID),
}


class QuickList(DeviceListRequest):
    """All devices, with little patience."""

    timeout_s: ClassVar[float] = 0.2


class StandingClock:
    """Always the same instant."""

    def now(self) -> Moment:
        return Moment(1000.0, NOW)


@asynccontextmanager
async def client(server: RawServer | int, **how: Any) -> AsyncIterator[NukiWeb]:
    port = server if isinstance(server, int) else server.port
    async with NukiWeb(f"http://127.0.0.1:{port}", clock=StandingClock(), **how) as web:
        yield web


async def failure(web: NukiWeb, request: WebRequest | None = None, **how: Any) -> WebError:
    with pytest.raises(WebError) as caught:
        await web.send(request or QuickList(), TOKEN, **how)
    assert_tells_nothing(caught.value)
    return caught.value


def assert_tells_nothing(error: WebError) -> None:
    """Neither its words nor what it hangs on to."""
    assert error.__cause__ is None
    assert error.__context__ is None
    assert leaks(MARKS, [("error", f"{error!r} {error} {error.args} {error.detail} {error.value}")]) == []


async def failure_of(handler: Handler, request: WebRequest | None = None, **how: Any) -> WebError:
    """The failure at a server that answers like this, to which everything came once at most."""
    async with serving(handler) as server, client(server) as web:
        error = await failure(web, request, **how)
        assert len(server.heads) == len(server.clients) == 1
    return error


# --- Every call, at the simulated cloud ---------------------------------------------------------------------------


@pytest.fixture
async def cloud() -> AsyncIterator[SimulatedCloudServer]:
    """A hundred times as fast as the real one."""
    house, loop = House(now=NOW.timestamp()), asyncio.get_running_loop()
    cloud = SimulatedCloud(house)
    cloud.tokens[TOKEN.reveal()] = frozenset(SCOPES)
    cloud.add(house.add(SimulatedLock(nuki_id=1, keypad_critical=False)))
    began = loop.time()
    async with SimulatedCloudServer(
        cloud, time_scale=0.01, clock=lambda: NOW.timestamp() + loop.time() - began
    ) as server:
        yield server


async def test_every_call(cloud: SimulatedCloudServer) -> None:
    lock, seen = cloud.cloud.devices[0].smartlock_id, dict[type[Any], type[Any]]()

    async def ask(request: WebRequest) -> WebAnswer:
        answer = await web.send(request, TOKEN)
        seen[type(request)] = type(answer)
        return answer

    async def only_code() -> str:
        while True:
            answer = await ask(AuthorizationListRequest(lock, keypad_codes_only=True))
            assert isinstance(answer, AuthorizationListAnswer)
            if answer.authorizations and not answer.authorizations[0].has_operation:
                return answer.authorizations[0].id

    async def until_gone() -> None:
        while True:
            answer = await ask(AuthorizationListRequest(lock, keypad_codes_only=True))
            assert isinstance(answer, AuthorizationListAnswer)
            if not answer.authorizations:
                return

    async with NukiWeb(cloud.url) as web, asyncio.timeout(30):
        for request in (
            DeviceListRequest(),
            DeviceRequest(lock),
            DeviceActionRequest(lock, 1),
            SyncRequest(lock),
            ActivityRequest(lock, since=NOW),
            AccountRequest(),
            AuthorizationPageRequest(),
            CodeCreateRequest(lock, WANTED),
        ):
            await ask(request)
        auth_id = await only_code()
        await ask(AuthorizationRequest(lock, auth_id))
        await ask(CodeUpdateRequest(lock, auth_id, WANTED))
        auth_id = await only_code()
        await ask(CodeUpdateManyRequest(((auth_id, WANTED),)))
        auth_id = await only_code()
        await ask(AuthorizationDeleteRequest(lock, auth_id))
        await until_gone()
        await ask(CodeCreateManyRequest((lock,), WANTED))
        await ask(AuthorizationDeleteManyRequest((await only_code(),)))
        hook = await ask(WebhookAddRequest(Secret("https://nuki.example.org/nuki")))
        assert isinstance(hook, WebhookAnswer)
        await ask(WebhookListRequest())
        await ask(WebhookDeleteRequest(hook.webhook.id))
        assert (await failure(web, AccountUserListRequest())).kind is WebErrorKind.NOT_FOUND  # nobody simulates it
    assert seen == {
        DeviceListRequest: DeviceListAnswer,
        DeviceRequest: DeviceAnswer,
        DeviceActionRequest: DoneAnswer,
        SyncRequest: DoneAnswer,
        AuthorizationListRequest: AuthorizationListAnswer,
        AuthorizationPageRequest: AuthorizationPageAnswer,
        AuthorizationRequest: AuthorizationAnswer,
        CodeCreateRequest: DoneAnswer,
        CodeCreateManyRequest: DoneAnswer,
        CodeUpdateRequest: DoneAnswer,
        CodeUpdateManyRequest: DoneAnswer,
        AuthorizationDeleteRequest: DoneAnswer,
        AuthorizationDeleteManyRequest: DoneAnswer,
        ActivityRequest: ActivityAnswer,
        AccountRequest: AccountAnswer,
        WebhookListRequest: WebhookListAnswer,
        WebhookAddRequest: WebhookAnswer,
        WebhookDeleteRequest: DoneAnswer,
    }
    assert set(get_args(WebRequest)) - set(seen) == {AccountUserListRequest}
    orders = [request for request in cloud.cloud.requests if request.path.endswith("/action")]
    assert [(request.method, request.body) for request in orders] == [("POST", b'{"action":1}')]


async def test_what_the_cloud_does_in_trouble_and_that_nothing_comes_twice(cloud: SimulatedCloudServer) -> None:
    order, faults = DeviceActionRequest(cloud.cloud.devices[0].smartlock_id, 1), cloud.cloud.faults
    async with NukiWeb(cloud.url) as web:
        for fault, kind, came in (
            (faults.reset_connections(acts=True), WebErrorKind.RESET, 1),
            (faults.proxy_error(status=502, acts=True), WebErrorKind.SERVER_ERROR, 1),
            (faults.refuse_token(), WebErrorKind.TOKEN_REFUSED, 1),
            (faults.throttle(seconds=30), WebErrorKind.TOO_MANY, 1),
            (faults.refuse_connections(), WebErrorKind.REFUSED, 0),
        ):
            before = len(cloud.cloud.requests)
            with fault:
                assert (await failure(web, order)).kind is kind
            assert len(cloud.cloud.requests) - before == came, kind


# --- What is sent -------------------------------------------------------------------------------------------------


async def test_the_bytes_of_a_read() -> None:
    async with serving(saying(EMPTY_LIST)) as server, client(server) as web:
        assert await web.send(ActivityRequest(DEVICE, since=NOW), TOKEN) == ActivityAnswer((), is_empty=True)
    request, *headers = server.heads[0].rstrip("\r\n").split("\r\n")
    assert request == f"GET /smartlock/{DEVICE}/log?limit=50&fromDate=2026-01-01T00%3A00%3A00.000Z HTTP/1.1"
    assert set(headers) == {
        f"Host: 127.0.0.1:{server.port}",
        f"Authorization: Bearer {TOKEN.reveal()}",
        "Accept: application/json",
        f"User-Agent: nuki2mqtt/{__version__}",
        "Accept-Encoding: identity",
        "Connection: close",
    }


async def test_the_bytes_of_a_write() -> None:
    async with serving(saying(DONE)) as server, client(server) as web:
        await web.send(CodeCreateRequest(DEVICE, WANTED), TOKEN)
        await web.send(SyncRequest(DEVICE), TOKEN)
    assert server.heads[0].startswith(f"PUT /smartlock/{DEVICE}/auth HTTP/1.1\r\n")
    assert "\r\nContent-Type: application/json\r\n" in server.heads[0]
    assert json.loads(server.bodies[0])["code"] == int(CODE.reveal())
    assert server.heads[1].startswith(f"POST /smartlock/{DEVICE}/sync HTTP/1.1\r\n")
    assert "Content-Type" not in server.heads[1]
    assert server.bodies[1] == b""


@pytest.mark.parametrize("prefix", ["/nuki", "/a/b%20c", "/ä"])
async def test_a_base_with_a_path(prefix: str) -> None:
    async with (
        serving(saying(EMPTY_LIST)) as server,
        NukiWeb(f"http://localhost:{server.port}{prefix}") as web,
    ):
        await web.send(DeviceListRequest(), TOKEN)
    assert server.heads[0].startswith(f"GET {prefix.replace('ä', '%C3%A4')}/smartlock HTTP/1.1\r\n")
    assert f"Host: localhost:{server.port}" in server.heads[0]


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(saying(EMPTY_LIST)) as proxy, serving(saying(EMPTY_LIST)) as server, client(server) as web:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        await web.send(DeviceListRequest(), TOKEN)
    assert proxy.clients == []


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize("method", ONE_OF_EACH)
async def test_the_token_does_not_follow_a_redirect(status: str, method: str) -> None:
    async with serving(saying(EMPTY_LIST)) as other:
        moved = plain_response(status, b"", f"Location: http://127.0.0.1:{other.port}/smartlock")
        error = await failure_of(saying(moved), ONE_OF_EACH[method])
    assert error.kind is WebErrorKind.UNEXPECTED_STATUS
    assert other.clients == []


async def test_no_cookie_comes_back_and_no_connection_is_used_twice() -> None:
    kept = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\nConnection: keep-alive\r\n\r\n[]"
    async with serving(saying_and_waiting(kept)) as server, client(server) as web:
        for _ in range(3):
            await web.send(DeviceListRequest(), TOKEN)
            await server.gone.wait()
            server.gone.clear()
    assert len(server.clients) == len(server.heads) == 3
    assert "Cookie" not in "".join(server.heads)


@pytest.mark.parametrize("method", ONE_OF_EACH)
async def test_a_server_that_promises_to_keep_and_closes_costs_no_order(method: str) -> None:
    """Whoever kept such a connection would write the next order to a dead one, and not know what became of it."""
    request = ONE_OF_EACH[method]
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\nKeep-Alive: timeout=60\r\n\r\n[]"
    async with serving(saying(answer)) as server, client(server) as web:
        for _ in range(3):
            await web.send(request, TOKEN)
    assert [head.split()[0] for head in server.heads] == [method] * 3


@pytest.mark.parametrize("text", ["", "with space", "line\nbreak", "tökén", "\x00", "tab\t"])
async def test_a_token_that_cannot_be_one_goes_nowhere(text: str) -> None:
    async with serving(saying(EMPTY_LIST)) as server, client(server) as web:
        with pytest.raises(WebError) as caught:
            await web.send(DeviceListRequest(), Secret(text))
    assert caught.value.kind is WebErrorKind.TOKEN_REFUSED
    assert not caught.value.may_have_acted
    assert server.clients == []


# --- Before the first byte ----------------------------------------------------------------------------------------


async def test_refused_connection() -> None:
    with closing(socket.socket()) as unheard:
        unheard.bind(("127.0.0.1", 0))
        port = unheard.getsockname()[1]
        async with client(port) as web:
            error = await failure(web)
    assert error == WebError(WebErrorKind.REFUSED, f"127.0.0.1:{port} refuses the connection")
    assert not error.may_have_acted


async def test_a_name_that_nobody_has() -> None:
    async with NukiWeb(f"http://{'x' * 70}.example") as web:
        error = await failure(web)
    assert error == WebError(WebErrorKind.REFUSED, f"{'x' * 70}.example:80 cannot be resolved")


async def test_no_connection_in_time() -> None:
    waiting: list[socket.socket] = []
    with closing(socket.socket()) as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(8):  # fill its queue, after which Linux lets everybody wait
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(full.getsockname())
            waiting.append(one)
        async with client(full.getsockname()[1]) as web:
            error = await failure(web, connect_within_s=0.1)
        for one in waiting:
            one.close()
    assert error.kind is WebErrorKind.REFUSED
    assert error.detail.endswith("does not answer within 0.1 s")


@pytest.mark.parametrize("left_s", [0.0, -1.0])
async def test_what_is_late_is_not_sent(left_s: float) -> None:
    async with serving(saying(DONE)) as server, client(server) as web:
        error = await failure(web, ONE_OF_EACH["POST"], connect_within_s=left_s)
    assert error.kind is WebErrorKind.TOO_LATE
    assert not error.may_have_acted
    assert server.clients == []


async def test_outside_of_its_context_it_says_so() -> None:
    with pytest.raises(RuntimeError, match="outside of its context"):
        await NukiWeb("http://127.0.0.1:1").send(DeviceListRequest(), TOKEN)


# --- TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "cloud authority")


def identity(authority: Authority, name: str, **how: Any) -> ssl.SSLContext:
    tls = authority.issue(name, **how)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert tls.cert is not None
    context.load_cert_chain(tls.cert, tls.key)
    return context


@needs_openssl
async def test_https_with_a_good_certificate(authority: Authority) -> None:
    trust = ssl.create_default_context(cafile=str(authority.ca))
    async with (
        serving(saying(EMPTY_LIST), tls=identity(authority, "good")) as server,
        NukiWeb(f"https://127.0.0.1:{server.port}", tls=trust) as web,
    ):
        assert await web.send(DeviceListRequest(), TOKEN) == DeviceListAnswer(())


@needs_openssl
async def test_nothing_is_said_to_a_server_whose_certificate_is_not_good(authority: Authority, tmp_path: Path) -> None:
    trust = ssl.create_default_context(cafile=str(authority.ca))
    stranger = identity(Authority(tmp_path, "stranger"), "of-a-stranger")
    for tls, trusted in (
        (stranger, trust),
        (stranger, None),
        (identity(authority, "other-name", alternative="DNS:elsewhere"), trust),
        (identity(authority, "expired", days=-1), trust),
    ):
        async with (
            serving(saying(EMPTY_LIST), tls=tls) as server,
            NukiWeb(f"https://127.0.0.1:{server.port}", tls=trusted) as web,
        ):
            error = await failure(web)
        assert error.kind is WebErrorKind.REFUSED
        assert error.detail.startswith(f"the certificate of 127.0.0.1:{server.port} is not good")
        assert server.heads == []


async def test_https_at_a_port_without_tls() -> None:
    async with (
        serving(saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), reads=False) as server,
        NukiWeb(f"https://127.0.0.1:{server.port}") as web,
    ):
        error = await failure(web)
    assert error.kind is WebErrorKind.REFUSED
    assert not error.may_have_acted


async def test_a_handshake_that_never_ends_is_no_connection() -> None:
    async with (
        serving(saying_and_waiting(b""), reads=False) as server,
        NukiWeb(f"https://127.0.0.1:{server.port}") as web,
    ):
        error = await failure(web, connect_within_s=0.2)
        assert error.kind is WebErrorKind.REFUSED
        await server.gone.wait()


# --- After the first byte -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("method", ONE_OF_EACH)
async def test_a_broken_connection_is_a_reset_and_nothing_is_sent_twice(method: str, handler: Handler) -> None:
    error = await failure_of(handler, ONE_OF_EACH[method])
    assert error.kind is WebErrorKind.RESET
    assert error.may_have_acted


@pytest.mark.parametrize("method", ONE_OF_EACH)
async def test_closed_before_the_request_was_read(method: str) -> None:
    async with serving(reset, reads=False) as server, client(server) as web:
        error = await failure(web, ONE_OF_EACH[method])
    assert error.kind is WebErrorKind.RESET
    assert len(server.clients) == 1


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(saying_and_waiting(b""), id="silence"),
        pytest.param(saying_and_waiting(b"HTTP/1.1 200 OK\r\nContent-Le"), id="half a head"),
        pytest.param(saying_and_waiting(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n["), id="half a body"),
        pytest.param(saying_and_waiting(b"HTTP/1.1 100 Continue\r\n\r\n"), id="continue"),
        pytest.param(dripping, id="drips"),
    ],
)
async def test_an_answer_that_does_not_end_in_time(handler: Handler) -> None:
    error = await failure_of(handler)
    assert error.kind is WebErrorKind.TIMEOUT
    assert error.detail.endswith("has taken the request and not answered it within 0.2 s")
    assert error.may_have_acted


async def test_a_body_without_end_is_unreadable() -> None:
    error = await failure_of(pouring(b"HTTP/1.1 200 OK\r\n\r\n"), DeviceListRequest())
    assert error.kind is WebErrorKind.UNREADABLE
    assert error.detail.endswith(f"answers more than {MOST_BODY_BYTES} bytes")


async def test_an_error_without_end_is_known_by_its_status() -> None:
    error = await failure_of(pouring(b"HTTP/1.1 423 Locked\r\n\r\n"), ONE_OF_EACH["DELETE"])
    assert error.kind is WebErrorKind.LOCKED
    assert not error.may_have_acted


async def test_what_was_packed_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    error = await failure_of(saying(plain_response("200 OK", bomb, "Content-Encoding: gzip")), DeviceListRequest())
    assert error.kind is WebErrorKind.UNREADABLE


async def test_the_list_of_a_large_account_fits_and_its_other_tasks_go_on() -> None:
    entry = {"id": AUTH_ID, "smartlockId": DEVICE, "type": 13, "name": "N" * 20, "code": 839275, "note": "x" * 640}
    body = json.dumps([entry] * 20_000).encode()
    assert 15_000_000 < len(body) <= MOST_BODY_BYTES
    async with serving(saying(plain_response("200 OK", body))) as server, client(server) as web:
        answer = await web.send(AuthorizationListRequest(), TOKEN)
    assert isinstance(answer, AuthorizationListAnswer)
    assert answer.authorizations[0].id == AUTH_ID


# --- What the status says -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("Retry-After: 30", 30.0),
        ("Retry-After: Thu, 01 Jan 2026 00:02:00 GMT", 120.0),
        ("Retry-After: 999999", 3600.0),
        ("Retry-After: soon", None),
        ("X: y", None),
    ],
)
async def test_how_long_we_are_asked_to_wait(header: str, wait_s: float | None) -> None:
    error = await failure_of(saying(plain_response("429 Too Many Requests", b"", header)))
    assert (error.kind, error.retry_after_s) == (WebErrorKind.TOO_MANY, wait_s)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (plain_response("401 Unauthorized", f'{{"detailMessage":"{TOKEN.reveal()}"}}'.encode()), "token_refused"),
        (
            plain_response(
                "400 Bad Request",
                b"{\"detailMessage\":\"The supplied value '%s' for parameter 'code' is not valid\"}"
                % CODE.reveal().encode(),
            ),
            "bad_request",
        ),
        (plain_response("502 Bad Gateway", b"<html><title>502 Bad Gateway</title></html>"), "server_error"),
        (plain_response("200 OK", b"<html>Please log in</html>", "Content-Type: text/html"), "unreadable"),
        (plain_response("200 OK", f'[{{"code":{CODE.reveal()}'.encode()), "unreadable"),
        (plain_response("200 OK", f'{{"Authorization":"Bearer {TOKEN.reveal()}"}}'.encode()), "unreadable"),
        (plain_response("204 No Content"), "unreadable"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\nshort", "not_found"),
    ],
)
async def test_the_status_says_what_happened_and_no_secret_is_repeated(answer: bytes, kind: str) -> None:
    assert (await failure_of(saying(answer))).kind == kind


# --- Dropped calls ------------------------------------------------------------------------------------------------


async def cancel_when(came: asyncio.Event, sending: "asyncio.Task[WebAnswer]") -> None:
    await came.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n["])
async def test_a_dropped_call_closes_its_connection(beginning: bytes) -> None:
    asked = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        await writer.drain()
        asked.set()
        await reader.read()

    async with serving(wait) as server, client(server) as web:
        await cancel_when(asked, asyncio.create_task(web.send(DeviceListRequest(), TOKEN)))
        await server.gone.wait()
        assert len(server.heads) == 1


async def test_a_call_that_is_dropped_while_it_connects_is_never_written() -> None:
    connected = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        connected.set()
        assert b"Bearer" not in await reader.read()

    async with (
        serving(wait, reads=False) as server,
        NukiWeb(f"https://127.0.0.1:{server.port}") as web,
    ):
        await cancel_when(connected, asyncio.create_task(web.send(DeviceListRequest(), TOKEN)))
        await server.gone.wait()
