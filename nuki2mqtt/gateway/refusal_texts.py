"""What a person may do about a refused command; for the log, once for each topic and reason."""

import json

from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.model.command import Reason
from nuki2mqtt.protocol.payloads import render_time


def next_step(reason: Reason, action: str | None, now: Moment) -> str:
    """The next step, with a blank before it; empty where the reason says it all."""
    match reason:
        case Reason.RETAINED:
            return " It is cleared now. Publish commands without the retain flag."
        case Reason.NEEDS_TS:
            example = json.dumps({"action": action, "ts": render_time(now.wall)})
            return (
                f" With MQTT 3.1.1 an opening command must say when it was given: {example} (or allow commands"
                " without: commands.bare_opening)."
            )
        case Reason.CLOCK_UNTRUSTED:
            return (
                " The clock of this machine is not synchronised, so the age of a command cannot be told: set it right"
                " (NTP), or commands.trust_clock: always."
            )
        case Reason.STALE | Reason.CLOCK_AHEAD:
            return f" Here it is {render_time(now.wall)}: does the clock of the sender agree?"
        case Reason.NOT_PERMITTED:
            return " See `permit` in the settings."
        case _:
            return ""
