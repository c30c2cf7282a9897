"""What a Bridge says in words, without secrets: what looks like one, and those that we know.

Some servers repeat what they are asked, and with it the token or our callback path, in whatever spelling.
"""

import html.entities
import re
from collections.abc import Iterable
from functools import lru_cache

from nuki2mqtt.model.secret import Secret
from nuki2mqtt.protocol import bridge_bodies as bodies

STARS = "***"
_PARTS = re.compile(r"(?s)\\+|.")
_MAX_SEEN_CHARS = 4096  # of a text that is shown: cleared first, then cut
_SHORT = 4  # shorter secrets are replaced as whole words only, else they would cut every other word to pieces

_KEY_WORDS = "token|hash|nonce|url|passw[a-z]{0,16}|secret"
_QUOTE = r"(?:\\{0,7}[\"']|&(?:quot|apos|#0*3[49]|#x0*2[27]);|%(?:25)*2[27])"
_BLANKS = r"(?:\s|\+|%(?:25)*20)*"
_SLASH = r"(?:\\{0,7}/|%(?:25)*2f|\\{1,8}u002f|&#(?:0*47|x0*2f);)"
_SECRET_KEY = re.compile(rf"(?i){_KEY_WORDS}")
# `token=a`, `token: a`, `"token":"a"`, `'token': 'a'`, `token%3Da`
_KEYED = re.compile(
    rf"(?i)((?:{_KEY_WORDS}){_QUOTE}?{_BLANKS}(?:[:=]|%(?:25)*3[ad]){_BLANKS})"
    r"(?:([\"'])(?:\\.|(?!\2).)+|" + _QUOTE + r"?[^&\s\"'<>]+)"
)
_CALLBACK_PATH = re.compile(rf"(?i){_SLASH}callback{_SLASH}[^\s\"'<>]+")
_LOGIN = re.compile(r"(?i)(://|%(?:25)*3a%(?:25)*2f%(?:25)*2f)[^?;#\s\"'<>]{0,256}(?:@|%(?:25)*40)")
_QUERY = re.compile(r"\?[^\s\"'<>]+")


def clear_text(text: str, max_chars: int) -> str:
    """A short text on one line, without what looks like a secret."""
    shown = bodies.safe_text(text, _MAX_SEEN_CHARS)
    shown = _KEYED.sub(lambda found: f"{found[1]}{found[2] or ''}{STARS}", shown)
    shown = _CALLBACK_PATH.sub(f"/callback/{STARS}", shown)
    return _LOGIN.sub(rf"\1{STARS}@", shown)[:max_chars].rstrip()


def clear_log_text(text: str, max_chars: int) -> str:
    """A text of a Bridge's log, where also everything behind a question mark may be somebody's secret."""
    return clear_text(_QUERY.sub(f"?{STARS}", bodies.safe_text(text, _MAX_SEEN_CHARS)), max_chars)


def is_secret_key(key: str) -> bool:
    """Whether the value under this key may be a secret as a whole."""
    return _SECRET_KEY.search(key) is not None


# --- Secrets that we know -----------------------------------------------------------------------------------


def hide(text: str, secrets: Iterable[Secret]) -> str:
    """The text without these secrets: plain, quoted for an address, or escaped; also with the end cut off."""
    for secret in secrets:
        if secret:
            whole, characters = _patterns(secret.reveal())
            text = _without_beginning(whole.sub(STARS, text), characters)
    return text


def _without_beginning(text: str, characters: tuple[re.Pattern[str], ...]) -> str:
    """The text without a beginning of the secret at its end, where it was cut."""
    for start in range(len(text)):
        at, number = start, 0
        while at < len(text) and number < len(characters) and (found := characters[number].match(text, at)):
            at, number = found.end(), number + 1
        if at == len(text) and number >= _SHORT:
            return text[:start] + STARS
    return text


@lru_cache(maxsize=32)
def _patterns(secret: str) -> tuple[re.Pattern[str], tuple[re.Pattern[str], ...]]:
    """The whole secret, and each of its characters, in every spelling."""
    spellings = [_spellings(character) for character in secret]
    whole = "".join(f"(?:{_spellings(part)})" for part in _PARTS.findall(secret))
    if len(secret) < _SHORT:
        whole = rf"(?<!\w){whole}(?!\w)"
    cut_off = r"[%\\&][#\w]{0,5}\Z"
    single = tuple(re.compile(f"{cut_off}|{spelling}", re.IGNORECASE) for spelling in spellings)
    return re.compile(whole, re.IGNORECASE), single


def _spellings(part: str) -> str:
    """One character, or several backslashes, each of which can be written as several."""
    character, count = part[0], len(part)
    raw, wide = character.encode("utf-8", "surrogatepass"), character.encode("utf-16-be", "surrogatepass").hex()
    code = ord(character)
    name = "apos" if character == "'" else html.entities.codepoint2name.get(code)
    spellings = [
        "".join(f"%(?:25){{0,3}}{byte:02x}" for byte in raw),
        "".join(rf"\\{{1,8}}x{byte:02x}" for byte in raw),
        "".join(rf"\\{{1,8}}u{wide[at : at + 4]}" for at in range(0, len(wide), 4)),
        rf"\\{{1,8}}(?:x{code:02x}|U{code:08x})",
        rf"&(?:amp;)*(?:#0*{code}|#x0*{code:x}{'' if name is None else f'|{name}'});",
    ]
    several = "" if count == 1 else f"{{{count}}}"
    plain = rf"\\{{{count},{8 * count}}}" if character == "\\" else r"\\{0,7}" + re.escape(character)
    blanks = [r"[\s+]"] if character == " " else []
    return "|".join([f"(?:{'|'.join(spellings)}){several}", plain, *blanks])
