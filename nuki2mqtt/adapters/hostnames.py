"""Resolves host names, with a limit for each.

The system's resolver cannot be interrupted, and asyncio waits at the end of the program for the threads in which it
asks. So each question has a thread of its own that nobody waits for.
"""

import asyncio
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress

LIMIT_S = 3.0
AT_A_TIME = 4
MOST_ADDRESSES = 8


async def resolve(names: Iterable[str], *, limit_s: float = LIMIT_S) -> dict[str, tuple[str, ...]]:
    """The addresses of each name, none where it has none or the answer does not come in time.

    Four names at a time, each `limit_s` at most; an IPv6 address that is link-local has its scope.
    """
    turn = asyncio.Semaphore(AT_A_TIME)

    async def one(name: str) -> tuple[str, ...]:
        async with turn:
            return await _ask(name, limit_s)

    wanted = list(dict.fromkeys(names))
    return dict(zip(wanted, await asyncio.gather(*map(one, wanted)), strict=True))


async def _ask(name: str, limit_s: float) -> tuple[str, ...]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[tuple[str, ...]] = loop.create_future()

    def settle(addresses: tuple[str, ...]) -> None:
        if not answer.done():
            answer.set_result(addresses)

    def ask() -> None:
        addresses = _addresses(name)
        with suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(settle, addresses)

    threading.Thread(target=ask, name="host name", daemon=True).start()
    try:
        async with asyncio.timeout(limit_s):
            return await answer
    except TimeoutError:
        return ()


def _addresses(name: str) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))[:MOST_ADDRESSES]
