"""The control API of a simulated house: HTTP and JSON, on a port of its own. What it can do is in `control_routes`."""

import asyncio
import json
import logging
from types import TracebackType
from typing import Self

from aiohttp import web

from nuki2mqtt.simulator.control_routes import find_route
from nuki2mqtt.simulator.control_values import Asked, ControlError, Json
from nuki2mqtt.simulator.estate import Estate

MOST_BYTES = 1_048_576
BODY_S = 10.0
_END_S = 2.0
_LOG = logging.getLogger(__name__)


class ControlServer:
    """`async with ControlServer(estate) as control:` serves at `control.url`; raises OSError.

    Whoever reaches it can do everything to the house; by default only programs on this machine do.
    """

    def __init__(self, estate: Estate, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.port = port
        self._estate = estate
        self._answering: web.Server | None = None
        self._listening: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The base address."""
        return f"http://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        self._answering = web.Server(self._handle, access_log=None)
        self._listening = await asyncio.get_running_loop().create_server(self._answering, self.host, self.port)
        self.port = int(self._listening.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listening is not None:
            self._listening.close()
        if self._answering is not None:
            await self._answering.shutdown(timeout=_END_S)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            async with asyncio.timeout(BODY_S):
                body = await _read(request)
            return _response(200, self._work(request, body))
        except ControlError as error:
            return _response(error.status, {"error": error.sentence})
        except TimeoutError:
            return _response(408, {"error": f"The body did not come within {BODY_S:.0f} s."})
        except Exception:  # noqa: BLE001 - whoever asked gets an answer all the same
            _LOG.exception("This is a mistake in the simulator: please report it with these lines.")
            return _response(500, {"error": "This is a mistake in the simulator; its log tells more."})

    def _work(self, request: web.BaseRequest, body: bytes) -> Json:
        route, places = find_route(request.method, request.path)
        self._estate.advance()
        done = route.work(self._estate, Asked(places, dict(request.query), body))
        self._estate.changed()
        return done


async def _read(request: web.BaseRequest) -> bytes:
    body = bytearray()
    async for part in request.content.iter_any():
        body += part
        if len(body) > MOST_BYTES:
            raise ControlError(413, f"The body is longer than {MOST_BYTES} bytes.")
    return bytes(body)


def _response(status: int, value: Json) -> web.Response:
    text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    response = web.Response(status=status, text=text, content_type="application/json")
    response.force_close()
    return response
