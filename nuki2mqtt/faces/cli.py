"""The command line: one function per verb. `health` is answered in `__main__`, before this is loaded."""

import argparse
import sys
from collections.abc import Callable

from nuki2mqtt import __version__
from nuki2mqtt.errors import SettingsError
from nuki2mqtt.faces.health import run_health
from nuki2mqtt.faces.keypad_line import add_keypad, read_ask
from nuki2mqtt.faces.setup import EXIT_INTERRUPTED, Setup, add_common_options, load, say_settings_error
from nuki2mqtt.protocol.settings_names import is_address

_STATUSES = """\
exit statuses:
  0   done, everything is well
  1   failed, or a check found something wrong; the text says what to do
  2   this command line is wrong
  3   act: the end is not known; look at the door. keypad: not known yet, or still under way
  4   act, keypad: no gateway answered
  75  another nuki2mqtt uses the state folder
  78  the settings are wrong; every mistake is listed
  130 interrupted before the end
"""


def _run(setup: Setup, _: argparse.Namespace) -> int:
    from nuki2mqtt.faces.run import run  # noqa: PLC0415 - each verb loads only what it needs

    return run(setup)


def _check(setup: Setup, _: argparse.Namespace) -> int:
    from nuki2mqtt.faces.check import check  # noqa: PLC0415 - each verb loads only what it needs

    return check(setup)


def _watch(setup: Setup, _: argparse.Namespace) -> int:
    from nuki2mqtt.faces.watch import watch  # noqa: PLC0415 - each verb loads only what it needs

    return watch(setup)


def _status(setup: Setup, options: argparse.Namespace) -> int:
    from nuki2mqtt.faces.status import status  # noqa: PLC0415 - each verb loads only what it needs

    return status(setup, as_json=options.json)


def _diagnose(setup: Setup, _: argparse.Namespace) -> int:
    from nuki2mqtt.faces.diagnose import diagnose  # noqa: PLC0415 - each verb loads only what it needs

    return diagnose(setup)


def _act(setup: Setup, options: argparse.Namespace) -> int:
    from nuki2mqtt.faces.act import act  # noqa: PLC0415 - each verb loads only what it needs

    return act(setup, options.device, options.action, wait_s=options.wait, as_json=options.json)


def _keypad(setup: Setup, options: argparse.Namespace) -> int:
    from nuki2mqtt.faces.keypad import keypad  # noqa: PLC0415 - each verb loads only what it needs

    return keypad(setup, read_ask(options))


def _pair(setup: Setup, options: argparse.Namespace) -> int:
    from nuki2mqtt.faces.pair import pair  # noqa: PLC0415 - each verb loads only what it needs

    return pair(setup, options.host, options.port, replace=options.replace)


def _find(setup: Setup, options: argparse.Namespace) -> int:
    from nuki2mqtt.faces.find import FindOptions, find  # noqa: PLC0415 - each verb loads only what it needs

    at = tuple(options.interface)
    return find(setup, FindOptions(cloud=options.cloud, seconds=options.seconds, at=at, as_json=options.json))


def _demo(options: argparse.Namespace) -> int:
    from nuki2mqtt.faces.demo import DemoOptions, demo  # noqa: PLC0415 - each verb loads only what it needs

    return demo(DemoOptions(once=options.once, seed=options.seed, speed=options.speed, port=options.port))


def _simulate(options: argparse.Namespace) -> int:
    from nuki2mqtt.faces.simulate import SimulateOptions, simulate  # noqa: PLC0415 - each verb loads only what it needs
    from nuki2mqtt.simulator.estate import BridgePlan  # noqa: PLC0415 - each verb loads only what it needs

    return simulate(
        SimulateOptions(
            bridges=options.bridges,
            plans=tuple(map(BridgePlan.parse, options.family or ["v2"])),
            bind=options.bind,
            port=options.port,
            control_bind=options.control_bind,
            control_port=options.control_port,
            speed=options.speed,
            seed=options.seed,
            live=options.live,
            announce=options.announce,
            cloud=options.cloud,
            cloud_port=options.cloud_port,
        )
    )


def _health(setup: Setup, _: argparse.Namespace) -> int:
    return run_health(["--state-dir", str(setup.state_dir)])  # reached by `nuki2mqtt --config FILE health`


def _port(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 1 to 65535")
    return number


def _any_port(text: str) -> int:
    return 0 if text == "0" else _port(text)


def _count(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= 32:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of Bridges: 1 to 32")
    return number


def _family(text: str) -> str:
    from nuki2mqtt.simulator.estate import BridgePlan  # noqa: PLC0415 - each verb loads only what it needs

    try:
        BridgePlan.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}") from None
    return text


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 1 <= number <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no time to wait: a number of seconds from 1 to 3600")
    return number


def _search_seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 1 <= number <= 60:
        raise argparse.ArgumentTypeError(f"{text!r} is no time to search: a number of seconds from 1 to 60")
    return number


def _address(text: str) -> str:
    if not is_address(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no address of this computer, such as 192.0.2.2")
    return text


def _speed(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0.1 <= number <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no speed: a number from 0.1 to 100")
    return number


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="nuki2mqtt",
        description="Nuki locks and openers on MQTT.",
        epilog=_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"nuki2mqtt {__version__}")
    add_common_options(parser, is_verb=False)
    parser.set_defaults(function=_run)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")

    def add(
        name: str, function: Callable[[Setup, argparse.Namespace], int], what: str, needs: str, example: str
    ) -> argparse.ArgumentParser:
        verb = verbs.add_parser(
            name,
            help=what,
            description=f"{what[0].upper()}{what[1:]}. {needs}",
            epilog=f"example:\n  {example}\n\n{_STATUSES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_common_options(verb, is_verb=True)
        verb.set_defaults(function=function)
        return verb

    add(
        "run",
        _run,
        "run the gateway (the default)",
        "Needs a broker and a Bridge.",
        "nuki2mqtt run --config config.yaml",
    )
    add(
        "check",
        _check,
        "test settings, broker, Bridges, callbacks, Nuki's cloud and clock",
        "One line each, with the next step where something is wrong. Nothing is moved; with `nuki_web.token` the "
        "account's locks are read once.",
        "nuki2mqtt check --config config.yaml",
    )
    add("watch", _watch, "show what is said on MQTT", "Needs a running service.", "nuki2mqtt watch")
    status = add(
        "status",
        _status,
        "show the running gateway, its Bridges and devices",
        "Needs a broker; what is retained there is read once, no Bridge and no lock is asked. Exit status 0: a gateway "
        "is online and everything is vouched for.",
        "nuki2mqtt status",
    )
    status.add_argument("--json", action="store_true", default=False, help="the same as one JSON object")
    act = add(
        "act",
        _act,
        "lock, unlock or open, and wait for the result",
        "Needs a running service. The command is sent once and carries its time, so that it cannot act late. Exit "
        "status 0: confirmed; 1: refused, failed or expired; 3: unknown, look at the door; 4: nobody answered.",
        "nuki2mqtt act front_door unlock",
    )
    act.add_argument("device", metavar="DEVICE", help="topic, eight-digit ID or shown name (see nuki2mqtt status)")
    act.add_argument("action", metavar="ACTION", help="lock, unlock, unlatch, lock_n_go, activate_rto, open, ...")
    act.add_argument(
        "--wait",
        metavar="SECONDS",
        type=_seconds,
        help="how long to wait for the result (default: commands.confirm_s + 180: no command lives longer)",
    )
    act.add_argument("--json", action="store_true", default=False, help="print the result messages as they are")
    add_keypad(verbs, _keypad, _STATUSES)
    demo = verbs.add_parser(
        "demo",
        help="show it all with a simulated house",
        description="Run a broker, a simulated house and the gateway in one process, and show what is said on MQTT. "
        "Needs nothing but the extra `embedded`: no Bridge, no broker, no settings; nothing of it is kept.",
        epilog=f"example:\n  nuki2mqtt demo\n\n{_STATUSES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    demo.set_defaults(without_settings=_demo)
    demo.add_argument("--once", action="store_true", help="play a fixed course; status 0 if all that it needs was seen")
    demo.add_argument("--seed", metavar="N", type=int, default=4, help="another life of the house (default: 4)")
    demo.add_argument("--speed", metavar="X", type=_speed, help="so many times as fast (default: 1, with --once 10)")
    demo.add_argument("--port", metavar="N", type=_port, default=0, help="the broker's port (default: any free one)")
    _add_simulate(verbs)
    pair = add(
        "pair",
        _pair,
        "get a token from a Bridge",
        "Needs you at the Bridge: its button must be pressed within 30 seconds.",
        "nuki2mqtt pair --host 192.0.2.10",
    )
    pair.add_argument("--host", required=True, help="address of the Bridge")
    pair.add_argument("--port", type=_port, default=8080, help="its HTTP port (default: 8080)")
    pair.add_argument("--replace", action="store_true", default=False, help="another Bridge answers there now")
    _add_find(
        add(
            "find",
            _find,
            "find the Bridges in this network",
            "Needs nothing; no token is sent. Exit status 0: a Bridge answered.",
            "nuki2mqtt find",
        )
    )
    add(
        "diagnose",
        _diagnose,
        "print what is needed to find out what is wrong, as JSON without secrets",
        "Needs a broker and a running service for the whole of it; says what it can without them. No Bridge and no "
        "lock is asked. Exit status 0: the gateway's part is in it.",
        "nuki2mqtt diagnose > report.json",
    )
    add("health", _health, "say whether the service makes progress", "Needs its state folder.", "nuki2mqtt health")
    return parser


def _add_find(find: argparse.ArgumentParser) -> None:
    find.add_argument(
        "--cloud",
        action="store_true",
        default=False,
        help="ask Nuki's server, too, which gets to know your public address by it",
    )
    find.add_argument(
        "--seconds", metavar="N", type=_search_seconds, default=5.0, help="how long to listen by mDNS (default: 5)"
    )
    find.add_argument(
        "--interface",
        metavar="ADDRESS",
        action="append",
        type=_address,
        default=[],
        help="an address of this computer: ask by mDNS only there (can be repeated; default: everywhere)",
    )
    find.add_argument("--json", action="store_true", default=False, help="print what was found as JSON")


def _add_simulate(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    simulate = verbs.add_parser(
        "simulate",
        help="serve simulated Bridges to run a gateway against",
        description="Serve simulated Bridges with their devices, and an API to control them. Needs no Bridge, no "
        "broker and no settings; nothing of it is kept. The first lines say how to run a gateway against it.",
        epilog=f"example:\n  nuki2mqtt simulate --family v2 --family v1:1.11.0 --live\n\n{_STATUSES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    simulate.set_defaults(without_settings=_simulate)
    simulate.add_argument("--bridges", metavar="N", type=_count, default=1, help="how many Bridges (default: 1)")
    simulate.add_argument(
        "--family",
        metavar="F",
        action="append",
        type=_family,
        help="v1, v2 or software, with a firmware if not the newest: v1:1.11.0; once for each Bridge (default: v2)",
    )
    simulate.add_argument(
        "--bind", metavar="ADDRESS", default="127.0.0.1", help="where Bridges listen (default: 127.0.0.1)"
    )
    simulate.add_argument(
        "--port",
        metavar="N",
        type=_any_port,
        default=8080,
        help="the first Bridge's port, the next one has the next; 0 any free ones (default: 8080)",
    )
    simulate.add_argument(
        "--control-bind",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="where the control API listens; whoever reaches it controls the house (default: 127.0.0.1)",
    )
    simulate.add_argument(
        "--control-port", metavar="N", type=_any_port, default=8070, help="its port; 0 any free one (default: 8070)"
    )
    simulate.add_argument("--speed", metavar="X", type=_speed, default=1.0, help="so many times as fast (default: 1)")
    simulate.add_argument("--seed", metavar="N", type=int, default=4, help="other tokens, other people (default: 4)")
    simulate.add_argument("--live", action="store_true", help="people come and go")
    simulate.add_argument(
        "--announce", action="store_true", help="announce the Bridges by mDNS, so that nuki2mqtt find finds them"
    )
    simulate.add_argument("--cloud", action="store_true", help="a simulated Nuki Web API, too, over all devices")
    simulate.add_argument("--cloud-port", metavar="N", type=_any_port, default=8060, help="its port (default: 8060)")


def run_cli(arguments: list[str]) -> int:
    """Run one verb; returns the exit status."""
    options = make_parser().parse_args(arguments)
    if hasattr(options, "without_settings"):
        without_settings: int = options.without_settings(options)
        return without_settings
    try:
        setup = load(options)
    except SettingsError as error:
        return say_settings_error(error)
    try:
        status: int = options.function(setup, options)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return EXIT_INTERRUPTED
    return status
