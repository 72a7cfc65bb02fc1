"""When sorting rows by what they begin with is worth it."""

import random
import string

import pytest

from gristmill.replica.prefixes import PrefixSample, shared_length

GENERATOR = random.Random(11)


def _text(length: int) -> str:
    return "".join(GENERATOR.choices(string.ascii_lowercase + " ", k=length))


PREFIXES = [_text(1_000) for _ in range(200)]


def _sampled(keys: list[str]) -> PrefixSample:
    sample = PrefixSample()
    for at in range(0, len(keys), 256):
        sample.add(keys[at : at + 256])
        if sample.is_due:
            sample.look()
    return sample


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("", "", 0),
        ("", "a", 0),
        ("a", "b", 0),
        ("ab", "abc", 2),
        ("same", "same", 4),
        ("x" * 999 + "a", "x" * 1_000, 999),
    ],
)
def test_shared_length(one: str, other: str, shared: int) -> None:
    assert shared_length(one, other) == shared


def test_prefixes_that_come_mixed_are_worth_sorting() -> None:
    sample = _sampled([GENERATOR.choice(PREFIXES) + _text(200) for _ in range(2_048)])
    assert sample.is_worth
    assert 0.6 < sample.gain() < 0.9


def test_the_first_rows_already_show_it() -> None:
    sample = PrefixSample()
    sample.add([GENERATOR.choice(PREFIXES) + _text(200) for _ in range(256)])
    assert sample.is_due
    assert sample.look()


def test_many_prefixes_with_few_rows_each_are_seen_in_a_larger_sample() -> None:
    prefixes = [_text(600) for _ in range(4_000)]
    assert _sampled([GENERATOR.choice(prefixes) + _text(50) for _ in range(2_048)]).is_worth


@pytest.mark.parametrize(
    "keys",
    [
        [_text(800) for _ in range(2_048)],
        [PREFIXES[0] + _text(300) for _ in range(2_048)],
        [PREFIXES[at // 20] + _text(300) for at in range(2_048)],
        sorted(GENERATOR.choice(PREFIXES) + _text(300) for _ in range(2_048)),
        [f"What is the capital of {_text(10)}?" for _ in range(2_048)],
        [""] * 2_048,
    ],
    ids=["nothing shared", "all share one", "grouped already", "sorted already", "short beginnings", "no keys"],
)
def test_other_orders_are_left_as_they_are(keys: list[str]) -> None:
    assert not _sampled(keys).is_worth


def test_a_change_of_the_input_is_noticed() -> None:
    sample = _sampled([_text(800) for _ in range(3_072)])
    assert not sample.is_worth
    sample.add([GENERATOR.choice(PREFIXES) + _text(200) for _ in range(3_072)])
    assert sample.is_due
    assert sample.look()
    sample.add([_text(800) for _ in range(3_072)])
    assert sample.is_due
    assert not sample.look()


def test_it_is_looked_again_when_the_rows_have_doubled_and_at_last_every_thousand() -> None:
    sample = PrefixSample()
    looks = []
    for rows in range(64, 4_097, 64):
        sample.add([_text(100) for _ in range(64)])
        if sample.is_due:
            sample.look()
            looks.append(rows)
    assert looks == [64, 128, 256, 512, 1_024, 2_048, 3_072, 4_096]
