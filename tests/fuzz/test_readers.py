"""Any bytes give a value or the one documented error, in bounded time and memory; see `targets.py` and `inputs.py`."""

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.inputs import CORPUS, MOST_BYTES, NASTY, RECORDED, RECORDED_FOR, bodies, budget, corpus, swept
from tests.fuzz.targets import TARGETS, run

MOST_MEMORY = 256 * MOST_BYTES
MOST_CORPUS = 100_000
NOT_JSON = ("settings", "environment", "topics", "slots", "refusal", "web_refusal", "log_line", "reboot")
MOST_SWEPT, LARGEST_SWEPT = 4, 1000
LARGEST = (
    b"[" * MOST_BYTES,
    b'{"a":' * (MOST_BYTES // 5),
    b"[" + b"{}," * (MOST_BYTES // 3 - 1) + b"{}]",
    b"[" + b"1," * (MOST_BYTES // 2 - 1) + b"1]",
    b'"' + b"\\u00e9" * (MOST_BYTES // 6 - 1) + b'"',
    b'{"x":"' + b"a" * (MOST_BYTES - 8) + b'"}',
    b'{"nukiId":' + b"9" * (MOST_BYTES - 20) + b"}",
    b"a: " * (MOST_BYTES // 3),
    b"- " * (MOST_BYTES // 2),
    b"token=" * (MOST_BYTES // 6),
    b"/callback/a/" * (MOST_BYTES // 12),
    b" " * MOST_BYTES,
    b"\xff" * MOST_BYTES,
)


@pytest.mark.parametrize("target", TARGETS)
def test_bytes_give_a_value_or_the_documented_error(target: str) -> None:
    @budget(60)
    @given(body=bodies(target))
    def check(body: bytes) -> None:
        run(target, body)

    check()


@pytest.mark.parametrize("target", [target for target in TARGETS if target not in NOT_JSON])
def test_every_odd_value_at_every_place_of_the_corpus(target: str) -> None:
    for path in corpus(target)[:MOST_SWEPT]:
        for body in swept(path.read_bytes()) if path.stat().st_size < LARGEST_SWEPT else ():
            run(target, body)


@pytest.mark.parametrize("escape", ["\\u001c", "\\u001f", "\x1d"])
@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("callback", '{"nukiId":1,"state":"*1"}'),
        ("list", '[{"nukiId":1,"lastKnownState":{"state":"1*"}}]'),
        ("info", '{"uptime":"*1"}'),
        ("lock_state", '{"success":true,"state":"*1*"}'),
        ("callback_list", '{"callbacks":[{"id":"*0","url":"http://192.0.2.20/"}]}'),
    ],
)
def test_separators_around_a_number(target: str, body: str, escape: str) -> None:
    run(target, body.replace("*", escape).encode())


@pytest.mark.parametrize("target", TARGETS)
def test_what_breaks_readers_breaks_none_of_ours(target: str) -> None:
    for body in NASTY:
        run(target, body)


@pytest.mark.parametrize("target", TARGETS)
def test_the_largest_inputs_need_little_time_and_memory(target: str) -> None:
    for body in LARGEST:
        run(target, body)
    # The others become smaller trees; YAML's reader is too slow to be watched, its events are counted instead.
    for body in LARGEST[:3] if target != "settings" else ():
        tracemalloc.start()
        try:
            TARGETS[target](body)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < MOST_MEMORY, (body[:20], peak)


# --- The corpus -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [path for target in TARGETS for path in corpus(target)], ids=lambda path: path.name)
def test_the_corpus_is_read_by_every_target(path: Path) -> None:
    """Each file was made for one reader; the others must bear it, too."""
    body = path.read_bytes()
    for target in TARGETS:
        run(target, body)


def test_every_target_has_a_corpus_and_it_is_small() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert all(corpus(target) for target in TARGETS)
    assert sum(path.stat().st_size for target in TARGETS for path in corpus(target)) < MOST_CORPUS


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recordings are not beside this checkout")
@pytest.mark.parametrize("target", RECORDED_FOR)
def test_every_recording_is_read_whole_and_cut_off_anywhere(target: str) -> None:
    found = sorted(RECORDED.glob(RECORDED_FOR[target]))
    assert found
    for path in found:
        body = path.read_bytes()
        for end in range(0, len(body), max(1, len(body) // 60)):
            run(target, body[:end])
        run(target, body)


# --- That this finds mistakes -----------------------------------------------------------------------------------------


def test_a_reader_that_raises_something_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TARGETS, "list", lambda body: None if b"lastKnownState" in body else body[1000])

    @budget(200)
    @given(body=st.one_of(bodies("list")))
    def check(body: bytes) -> None:
        run("list", body)

    with pytest.raises(IndexError):
        check()
