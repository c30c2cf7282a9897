"""Asks Nuki's server which Bridges came from our public address; only where somebody has asked for it.

It tells Nuki that address, and needs internet, so that nothing waits for it but the search itself.
"""

import asyncio
import ssl
from dataclasses import dataclass

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from nuki2mqtt.adapters.hostnames import resolve
from nuki2mqtt.errors import UnreadableBody
from nuki2mqtt.protocol.discovery import CLOUD_PATH, NOTHING, Found, find_in_cloud_list

LIMIT_S = 5.0  # for everything
MOST_BYTES = 64 * 1024  # a Bridge is about 100 bytes there


@dataclass(frozen=True, slots=True)
class CloudAnswer:
    """What the list has, or why it was not read."""

    found: Found = NOTHING
    warnings: tuple[str, ...] = ()


async def ask_cloud(base_url: str, *, limit_s: float = LIMIT_S) -> CloudAnswer:
    """One GET of the list, never repeated and never redirected; whatever goes wrong becomes a warning."""
    host = URL(base_url).host or ""
    try:
        async with asyncio.timeout(limit_s):
            if not any((await resolve([host], limit_s=limit_s)).values()):
                return _nothing(f"{host} cannot be resolved; is there internet?")
            return await _get(base_url + CLOUD_PATH, host)
    except TimeoutError:
        return _nothing(f"{host} does not answer within {limit_s:g} s; is there internet?")
    except (ssl.SSLError, ssl.CertificateError):
        return _nothing(f"the certificate of {host} is not good; is the clock of this computer right?")
    except (ClientError, OSError, ValueError) as error:
        if isinstance(getattr(error, "os_error", error), ssl.SSLError):
            return _nothing(f"the certificate of {host} is not good; is the clock of this computer right?")
        return _nothing(f"{host} cannot be reached; is there internet?")


async def _get(url: str, host: str) -> CloudAnswer:
    async with (
        ClientSession(
            connector=TCPConnector(force_close=True, use_dns_cache=False),
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=None),
            skip_auto_headers=("User-Agent",),
            trust_env=False,
        ) as session,
        session.get(url, allow_redirects=False) as response,
    ):
        if response.status != 200:  # 403 for everybody in November 2024 (reference, 1.2)
            return _nothing(
                f"{host} says {response.status}; try again later, the search in the house goes on without it."
            )
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MOST_BYTES:
                return _nothing(f"{host} answers more than {MOST_BYTES} bytes.")
    try:
        return CloudAnswer(find_in_cloud_list(bytes(body)))
    except UnreadableBody as error:
        return _nothing(f"{host} answers something else than a list of Bridges: {error}.")


def _nothing(why: str) -> CloudAnswer:
    return CloudAnswer(warnings=(f"Nuki's list of Bridges was not read: {why}",))
