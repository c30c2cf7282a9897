"""Questions to the cloud, and who waits for each answer."""

from collections.abc import Callable

from nuki2mqtt.errors import WebError, WebErrorKind
from nuki2mqtt.gateway.vocabulary import Moment
from nuki2mqtt.gateway.web_jobs import WebEnded
from nuki2mqtt.gateway.web_link import WebLink
from nuki2mqtt.protocol.web_api import WebRequest

Then = Callable[[WebEnded, Moment], None]


class WebAsks:
    """Everybody who asks is told the end of it once, whatever it is; only after `drop` nobody is."""

    def __init__(self, link: WebLink) -> None:
        self.link = link
        self._waiting: dict[int, Then] = {}
        self._refused: list[tuple[WebEnded, Then]] = []

    def ask(
        self, request: WebRequest, then: Then, now: Moment, *, due: float | None = None, not_after: float | None = None
    ) -> int | None:
        """Send this between these times (monotonic seconds); None where it is refused at once, which is an end, too."""
        ask_id = self.link.ask(request, now, due=due, not_after=not_after)
        if ask_id is None:
            error = WebError(WebErrorKind.TOO_LATE, "too much waits for the cloud")
            self._refused.append((WebEnded(None, request, error, None, now.monotonic), then))
        else:
            self._waiting[ask_id] = then
        return ask_id

    def withdraw(self, ask_id: int) -> None:
        """Do not send it any more, if that is possible; its end is told to nobody."""
        self.link.withdraw(ask_id)
        self._waiting.pop(ask_id, None)

    @property
    def has_ends(self) -> bool:
        """Whether something was refused at once, and nobody was told yet."""
        return bool(self._refused)

    def tell(self, now: Moment) -> list[WebEnded]:
        """Tell everybody what has ended; gives the polls, which nobody has asked for."""
        polls: list[WebEnded] = []
        for ended in self.link.take_ended():
            if ended.ask_id is None:
                polls.append(ended)
            elif (then := self._waiting.pop(ended.ask_id, None)) is not None:
                then(ended, now)
        refused, self._refused = self._refused, []
        for ended, then in refused:
            then(ended, now)
        return polls

    def drop(self) -> None:
        """Nobody waits for anything any more."""
        self._waiting.clear()
        self._refused.clear()
