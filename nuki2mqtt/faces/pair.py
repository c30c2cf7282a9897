"""`nuki2mqtt pair`: get a token from a Bridge by the press of its button."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from nuki2mqtt.adapters.bridge_http import BridgeHttp
from nuki2mqtt.adapters.log_output import register_secret
from nuki2mqtt.adapters.private_file import make_private_folder, try_write
from nuki2mqtt.adapters.state_file import write_pairing
from nuki2mqtt.errors import BridgeError, BridgeErrorKind, StateFileError
from nuki2mqtt.faces.setup import EXIT_FAILED, EXIT_OK, Setup
from nuki2mqtt.gateway.vocabulary import BridgePaired
from nuki2mqtt.protocol.bridge_api import AuthAnswer, AuthRequest
from nuki2mqtt.protocol.settings import BridgeSettings

_BUTTON_S = 30  # reference, 1.1: so long the Bridge waits for its button
_COUNT_WIDTH = 16


def pair(setup: Setup, host: str, port: int, *, replace: bool) -> int:
    """One `/auth` call (30 s); the token goes to the state folder, where the service takes it."""
    link = BridgeSettings(host=host, port=port).link
    try:
        # Before the walk to the button, not after it.
        make_private_folder(setup.state_dir)
        try_write(setup.state_dir / "pairing.json", b"")
    except OSError as error:
        text = (
            f"{setup.state_dir} cannot be written ({error.strerror}): run this as the user of the service, or as root"
        )
        print(text, file=sys.stderr)
        return EXIT_FAILED
    print(f"Press the button of the Bridge at {link} within 30 seconds (shortly; its ring lights up) ...", flush=True)
    try:
        answer = asyncio.run(_ask_counting(host, port))
    except BridgeError as error:
        print(_explain(error, link), file=sys.stderr)
        return EXIT_FAILED
    if answer.token is None:
        print("The button was not pressed in time. Run this again and press it when asked.", file=sys.stderr)
        return EXIT_FAILED
    register_secret(answer.token)
    try:
        write_pairing(setup.state_dir, BridgePaired(link, answer.token, replace_bridge=replace))
    except StateFileError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED
    print(f"Paired. The token is kept in {setup.state_dir}; a running service takes it within seconds.")
    if setup.settings.bridges and link not in {bridge.link for bridge in setup.settings.bridges}:
        print(f"This Bridge is not in your settings yet. Add to config.yaml:\n\nbridges:\n  - host: {host}")
        if port != BridgeSettings(host=host).port:
            print(f"    port: {port}")
    return EXIT_OK


async def _ask_counting(host: str, port: int) -> AuthAnswer:
    """Ask, and count the seconds down: in place on a terminal, every ten elsewhere."""
    counting = asyncio.create_task(count_down(is_terminal=sys.stdout.isatty()))
    try:
        return await _ask(host, port)
    finally:
        counting.cancel()
        if sys.stdout.isatty():
            print("\r" + " " * _COUNT_WIDTH, end="\r", flush=True)


async def count_down(*, is_terminal: bool, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
    """Say how many seconds are left for the button."""
    for left_s in range(_BUTTON_S, 0, -1):
        if is_terminal:
            print(f"\r{left_s:>4} s left ", end="", flush=True)
        elif left_s < _BUTTON_S and left_s % 10 == 0:
            print(f"{left_s} s left ...", flush=True)
        await pause(1.0)


async def _ask(host: str, port: int) -> AuthAnswer:
    async with BridgeHttp() as http:
        answer, _ = await http.send(host, port, AuthRequest(), {})
    if not isinstance(answer, AuthAnswer):
        raise BridgeError(BridgeErrorKind.UNREADABLE, "not an answer to /auth")
    return answer


def _explain(error: BridgeError, link: str) -> str:
    match error.kind:
        case BridgeErrorKind.FORBIDDEN:
            step = "Pairing is switched off there: Nuki app, Manage my devices > Bridge > HTTP API; or copy the token."
        case BridgeErrorKind.BUSY:
            step = "It is busy: stop other programs that use it for a minute, then try again."
        case BridgeErrorKind.REFUSED:
            step = "Check the address, and that the Bridge has power."
        case _:
            step = "Check that a Nuki Bridge answers there, and try again."
    return f"No token from {link}: {error}. {step}"
