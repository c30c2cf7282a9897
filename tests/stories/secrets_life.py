"""What happens in a marked world, step by step, and which echoes of a Bridge are cleared by their looks alone."""

from collections.abc import Callable

from nuki2mqtt.gateway.callback_lease import masked_url
from nuki2mqtt.gateway.vocabulary import BridgePaired
from nuki2mqtt.model.secret import Secret
from tests.stories.secrets_world import LINK, NEW_TOKEN, STRANGER, MarkedWorld

LOG_S = 20.0
# What stands behind a key or in a callback's path is cleared wherever it is read, the rest by who knows the secret.
BY_ITS_LOOKS = (
    *("raw", "page", "error", "parameters", "message"),
    *("decoded message", "quoted", "quoted url", "lines", "python"),
)
VERBS = ("refresh", "callbacks", "bridge_log", "diagnostics", "bridge_reboot", "callback_remove", "log_level", "find")


def ask_all(world: MarkedWorld) -> None:
    """Every request, to the first Bridge where one must be named."""
    for verb in VERBS:
        order = {"bridge": LINK, "id": 0, "url": masked_url(STRANGER), "level": "debug", "transaction": verb}
        world.request(verb, order, response_topic="answers/a", correlation=b"c")
        world.run(LOG_S)


def lose_broker(world: MarkedWorld) -> None:
    world.broker.stop()
    world.run(30)
    world.broker.start()


def restart(world: MarkedWorld) -> None:
    world.process.kill()
    world.process = world.start()


def echo_slots(world: MarkedWorld) -> None:
    world.bridge.callbacks.forget_all()
    world.echo("message", 200, "/callback/add")


STEPS: dict[str, Callable[[MarkedWorld], object]] = {
    "requests": ask_all,
    "lock": lambda world: world.command("front_door", {"action": "lock"}, response_topic="answers/a"),
    "unlatch": lambda world: world.command("front_door", {"action": "unlatch", "ts": world.ts()}),
    "nonsense": lambda world: world.command("front_door", '{"action":'),
    "get": lambda world: world.publish("nuki2mqtt/front_door/get", '{"force":true}'),
    **{
        f"echo {name} {status}": (lambda world, name=name, status=status: world.echo(name, status))  # type: ignore[misc]
        for name in BY_ITS_LOOKS
        for status in (200, 400, 401, 500)
    },
    "echo of slots": echo_slots,
    "no echo": lambda world: world.echo(None),
    "token changed": MarkedWorld.change_token,
    "paired": lambda world: world.process.deliver(BridgePaired(LINK, Secret(NEW_TOKEN))),
    "broker away": lose_broker,
    "disk full": lambda world: setattr(world.disk, "is_writable", False),
    "killed": restart,
    "stranger": lambda world: world.other.callbacks.add(STRANGER),
}
