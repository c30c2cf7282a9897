"""Host names: each has its limit, and nobody waits for a resolver that hangs."""

import asyncio
import socket
import threading
import time

import pytest

from nuki2mqtt.adapters.hostnames import AT_A_TIME, resolve


async def test_names_and_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(name: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        match name:
            case "Nuki_Bridge_0A1B2C3D.lan":
                return [
                    (socket.AF_INET, 1, 6, "", ("192.0.2.10", 0)),
                    (socket.AF_INET, 1, 6, "", ("192.0.2.10", 0)),
                    (socket.AF_INET6, 1, 6, "", ("fe80::1%eth0", 0, 0, 2)),
                ]
            case "too long":
                raise UnicodeError("label too long")
            case _:
                raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    assert await resolve(["Nuki_Bridge_0A1B2C3D.lan", "none.example.org", "too long", "none.example.org"]) == {
        "Nuki_Bridge_0A1B2C3D.lan": ("192.0.2.10", "fe80::1%eth0"),
        "none.example.org": (),
        "too long": (),
    }


async def test_this_computer() -> None:
    assert {"127.0.0.1", "::1"} & set((await resolve(["localhost"]))["localhost"])


async def test_nothing_to_ask() -> None:
    assert await resolve([]) == {}


async def test_a_resolver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four at a time, each until its limit; the threads are left behind, and end when they will."""
    going_on, most, lock = threading.Event(), 0, threading.Lock()
    asking: set[str] = set()

    def hang(name: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        nonlocal most
        with lock:
            asking.add(name)
            most = max(most, len(asking))
        going_on.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    names = [f"name{number}.example.org" for number in range(AT_A_TIME)]
    begun = time.monotonic()
    try:
        assert await resolve(names, limit_s=0.1) == dict.fromkeys(names, ())
    finally:
        going_on.set()
    assert time.monotonic() - begun < 5
    assert most == AT_A_TIME


def test_the_program_does_not_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    going_on = threading.Event()

    def hang(*_: object, **__: object) -> list[tuple[object, ...]]:
        going_on.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    begun = time.monotonic()
    try:
        assert asyncio.run(resolve(["name.example.org"], limit_s=0.1)) == {"name.example.org": ()}
        assert time.monotonic() - begun < 5
    finally:
        going_on.set()
