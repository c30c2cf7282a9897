"""A text that must never be shown: tokens, passwords, the callback path."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret text; `str` and `repr` show three stars, only `reveal` shows it."""

    _text: str = field(repr=False)

    def reveal(self) -> str:
        """The text itself, for the codec that must write it."""
        return self._text

    def __str__(self) -> str:
        return "***"

    def __repr__(self) -> str:
        return "Secret(***)"

    def __bool__(self) -> bool:
        return bool(self._text)
