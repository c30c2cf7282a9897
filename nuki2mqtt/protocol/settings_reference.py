"""The reference page of the settings, rendered from the code.

`python -m nuki2mqtt.protocol.settings_reference > docs/settings.md` writes it anew.
"""

import sys
from collections.abc import Iterator

from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol.settings import BRIDGES_LIMIT, Settings
from nuki2mqtt.protocol.settings_checks import NOT_IN_THIS_VERSION
from nuki2mqtt.protocol.settings_kinds import Hidden
from nuki2mqtt.protocol.settings_shape import LeafKey, ListOf, Section, TableOf, keys_of, leaf_keys, variable_of

_HEAD = f"""# Settings

<!-- Rendered from the code: python -m nuki2mqtt.protocol.settings_reference > docs/settings.md -->

One YAML file; `config.yaml.example` shows every key with its default. A key that is left out has its default,
and without a file the defaults and the environment hold. The order: command line, environment, file, default.

- **Environment.** Each key has a variable, shown below. Items of a list are counted from 0
  (`NUKI2MQTT_BRIDGES__0__HOST`, `NUKI2MQTT_BRIDGES__1__HOST`), devices stand by their ID
  (`NUKI2MQTT_DEVICES__1A2B3C4D__TOPIC`), a list of actions is written with commas (`lock,unlock`; `[]` is
  none). `NUKI2MQTT_CONFIG` is the path of the file. An unknown variable `NUKI2MQTT_...` is a mistake.
- **Secrets from files.** Each secret `x` can be given as `x_file` instead (`password_file`,
  `NUKI2MQTT_MQTT__PASSWORD_FILE`): the path of a file that holds nothing else; one line break at its end is
  dropped. Both in the file, or both in the environment, are a mistake.
- **Mistakes.** An unknown key, a wrong type or a value out of bounds stops the start with exit status 78 and
  a line like `config.yaml:12:5: mqtt.prot: unknown key; did you mean mqtt.port?` for each mistake. No such
  line shows a secret.
- **Texts and numbers.** Numbers, `true` and `false` are written without quotes. Texts need none: a password
  `0123` or `yes` stays as it is written. `null`, `~` and nothing mean null; where null is not listed, they
  are a mistake. A section without anything below it is as good as left out. IDs are hex digits in any case.
- **YAML.** Anchors, aliases, tags and a second document are refused, as are keys given twice, more than 1 MiB
  and more than 20 levels.
- **Together.** At most {BRIDGES_LIMIT} Bridges, no address or ID twice; no device topic twice; `callback.port` is
  not `web.port`, and with a secret `nuki_web.webhook.port` is neither; `mqtt.tls.cert` and `mqtt.tls.key` go together;
  neither of `mqtt.base_topic` and `homeassistant.prefix` is the other or below it.

What is marked *not in this version* is known, but stops the start.
"""


def render_settings_reference() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_lines()]) + "\n"


def _lines() -> Iterator[str]:
    leaves = list(leaf_keys(Settings))
    top = keys_of(Settings)
    single = [leaf for leaf in leaves if "." not in leaf.path]
    yield from _section("General", "", single)
    for name, key in top.items():
        if isinstance(key.kind, Section | ListOf | TableOf):
            below = [leaf for leaf in leaves if leaf.path.startswith(f"{name}.")]
            yield from _section(f"`{name}`", key.about, below)


def _section(title: str, about: str, leaves: list[LeafKey]) -> Iterator[str]:
    yield f"## {title}\n"
    if about:
        yield f"{about}\n"
    yield "| key | value | default | meaning | variable |"
    yield "|---|---|---|---|---|"
    for leaf in leaves:
        default = "required" if leaf.is_required else f"`{_yaml(leaf.kind.show(leaf.default))}`"
        about = leaf.about + _refused(leaf.path)
        if isinstance(leaf.kind, Hidden):
            about += f" Or `{leaf.path.rsplit('.', 1)[-1]}_file`."
        cells = (f"`{leaf.path}`", leaf.kind.describe(), default, about, f"`{variable_of(leaf.path)}`")
        yield f"| {' | '.join(cells)} |"
    yield ""


def _refused(path: str) -> str:
    refused = NOT_IN_THIS_VERSION.get(path)
    if refused is None:
        return ""
    return " *Not in this version.*" if refused is Secret else f" *Not in this version: `{_yaml(refused)}`.*"


def _yaml(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    sys.stdout.write(render_settings_reference())
