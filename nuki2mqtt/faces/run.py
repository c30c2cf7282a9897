"""`nuki2mqtt run`: the service itself."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator

from nuki2mqtt import __version__
from nuki2mqtt.adapters.clock import SystemClock, SystemEntropy
from nuki2mqtt.adapters.container import is_in_container
from nuki2mqtt.adapters.embedded_broker import EmbeddedBroker, login_of
from nuki2mqtt.adapters.heartbeat import Heartbeat
from nuki2mqtt.adapters.log_output import configure_logging, register_secret
from nuki2mqtt.adapters.run_marker import RunMarker
from nuki2mqtt.adapters.state_dir import HEARTBEAT
from nuki2mqtt.adapters.state_file import OpenedState, StateFile, instance_id, read_machine_id
from nuki2mqtt.adapters.time_zones import zone_of
from nuki2mqtt.errors import EmbeddedBrokerError, StateFileError
from nuki2mqtt.faces.setup import EXIT_FAILED, EXIT_IN_USE, EXIT_OK, Setup
from nuki2mqtt.gateway.gateway import Gateway
from nuki2mqtt.gateway.identity import Identity, Outside
from nuki2mqtt.protocol.settings import MqttSettings
from nuki2mqtt.service import Service

_LOG = logging.getLogger("nuki2mqtt")


def run(setup: Setup) -> int:
    """Run until SIGTERM or SIGINT; returns the exit status."""
    settings = setup.settings
    configure_logging(settings.log.level, settings.log.format, setup.secrets)
    for warning in settings.warnings:
        _LOG.warning("%s", warning)
    with StateFile(setup.state_dir) as state:
        try:
            opened = state.open()
        except StateFileError as error:
            print(error, file=sys.stderr)
            return EXIT_FAILED if error.newer else EXIT_IN_USE
        for problem in opened.problems:
            _LOG.warning("%s", problem)
        marker = RunMarker(setup.state_dir)
        was_unclean = marker.set()
        try:
            asyncio.run(_serve(setup, state, opened, after_unclean_end=was_unclean))
        except EmbeddedBrokerError as error:
            print(f"mqtt.embedded: {error}", file=sys.stderr)
            if not was_unclean:  # nothing was asked of any Bridge
                marker.clear()
            return EXIT_FAILED
        except Exception:  # noqa: BLE001 - the last resort of the process
            # Through the log, which keeps secrets out, and not by the interpreter, which does not.
            _LOG.exception("This is a mistake in nuki2mqtt: please report it with these lines.")
            return EXIT_FAILED
        marker.clear()
        # `nuki2mqtt health` shall not find us alive for two more minutes.
        with contextlib.suppress(OSError):
            (setup.state_dir / HEARTBEAT).unlink()
    return EXIT_OK


async def _serve(setup: Setup, state: StateFile, opened: OpenedState, *, after_unclean_end: bool) -> None:
    settings, clock, entropy = setup.settings, SystemClock(), SystemEntropy()
    register_secret(opened.callback_secret)
    for bridge in opened.memory.bridges.values():
        if bridge.token is not None:
            register_secret(bridge.token)
    identity = Identity(
        instance=instance_id(opened.seed, read_machine_id()),
        version=__version__,
        callback_secret=opened.callback_secret,
        started=clock.now(),
        in_container=is_in_container(),
        after_unclean_end=after_unclean_end,
        jitter=entropy.fraction(),
        state_file_problem=opened.problems[0] if opened.problems else None,
    )
    service = Service(
        settings,
        Gateway(settings, identity, opened.memory, Outside(entropy.bytes_of, zone_of)),
        client_id=settings.mqtt.client_id or f"nuki2mqtt-{identity.instance}",
        state=state,
        clock=clock,
        entropy=entropy,
        heartbeat=Heartbeat(setup.state_dir / HEARTBEAT),
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.request_stop)
    _LOG.info("nuki2mqtt %s, instance %s, state in %s", __version__, identity.instance, setup.state_dir)
    async with _broker(settings.mqtt):
        await service.run()


@contextlib.asynccontextmanager
async def _broker(mqtt: MqttSettings) -> AsyncIterator[None]:
    """The embedded broker, if there shall be one; raises EmbeddedBrokerError."""
    if not mqtt.embedded:
        yield
        return
    async with EmbeddedBroker(port=mqtt.port, login=login_of(mqtt)) as broker:
        _LOG.info("The embedded broker listens at %s:%d, for programs on this machine only", broker.host, broker.port)
        yield
