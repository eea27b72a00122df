"""Passwords are kept as argon2id, checked in a bounded pool, and the well-known ones are known.

Who gets the next place in the pool is tested in `tests/application/limits/test_fair_queue.py`.
"""

import asyncio
from typing import Any

import argon2
import pytest
from argon2 import extract_parameters
from argon2.low_level import Type, hash_secret
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from boxoffice.adapters.security import Argon2PasswordHasher, ZxcvbnKnownPasswords
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.observability import Overload, Unobserved
from boxoffice.application.ports.security import Asker

ASKER = Asker("ada")


def cheap(**limits: Any) -> Argon2PasswordHasher:
    return Argon2PasswordHasher(memory=8, passes=1, **limits)


async def test_a_password_fits_its_hash_and_no_other_does() -> None:
    hasher = cheap()
    hashing = asyncio.create_task(hasher.hash("correct hörse", ASKER))
    await asyncio.sleep(0)
    assert not hashing.done(), "the event loop goes on meanwhile"
    kept = await hashing
    assert await hasher.verify("correct hörse", kept, ASKER)
    assert await hasher.hash("correct hörse", ASKER) != kept
    for other in ("correct hörsE", "correct hörse ", "correct horse", "", "\0", "x" * 1_024, kept):
        assert not await hasher.verify(other, kept, ASKER)
    kept = await Argon2PasswordHasher(memory=16, passes=2).hash("correct horse", ASKER)
    assert await hasher.verify("correct horse", kept, ASKER), "made with other parameters"


async def test_the_work_is_what_owasp_asks_for() -> None:
    parameters = extract_parameters(await Argon2PasswordHasher().hash("correct horse", ASKER))
    assert parameters.type is Type.ID
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19 * 1024, 2, 1)
    assert parameters.salt_len >= 16
    assert parameters.hash_len >= 32


@pytest.mark.parametrize(
    ("memory", "passes", "is_outdated"), [(64, 2, False), (63, 2, True), (64, 1, True), (8, 3, True), (65, 3, False)]
)
async def test_a_hash_that_took_less_work_than_todays_is_outdated(memory: int, passes: int, is_outdated: bool) -> None:
    kept = await Argon2PasswordHasher(memory=memory, passes=passes).hash("correct horse", ASKER)
    assert Argon2PasswordHasher(memory=64, passes=2).is_outdated(kept) is is_outdated


def test_a_hash_of_the_weaker_kinds_of_argon2_is_outdated() -> None:
    for kind in (Type.I, Type.D):
        kept = hash_secret(b"correct horse", bytes(16), 9, 999, 1, 32, kind).decode()
        assert cheap().is_outdated(kept)


@pytest.mark.parametrize(
    "kept",
    [
        *("", "x", "correct horse", "$$$$$", "$argon2id$", "$2b$12$" + "a" * 53, "$argon2id$ü", "\ud800"),
        "$argon2id$v=19$m=8,t=1,p=1$!!!!$????",
        "$argon2id$v=99$m=8,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA",
        "$argon2id$v=19$m=0,t=0,p=0$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA",
        "$argon2id$v=19$m=x,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA",
    ],
    ids=lambda kept: ascii(kept)[:30],
)
async def test_a_text_that_is_no_hash_fits_no_password(kept: str) -> None:
    assert await cheap().verify("correct horse", kept, ASKER) is False
    assert cheap().is_outdated("$argon2id$v=19$m=x,t=1,p=1$c2Fs$c2Fs") is False


async def test_without_an_account_the_same_work_is_done_and_nothing_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    verify = argon2.PasswordHasher.verify
    is_guessed = False

    def note(self: argon2.PasswordHasher, kept: str, password: str) -> bool:
        checked.append(kept)
        return is_guessed or verify(self, kept, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", note)
    hasher = cheap()
    kept = await hasher.hash("correct horse", ASKER)
    assert not await hasher.verify("wrong horse", kept, ASKER)
    for password in ("correct horse", "", "\0" * 32):
        assert await hasher.verify(password, None, ASKER) is False
    assert len(checked) == 4
    assert {str(extract_parameters(each)) for each in checked} == {str(extract_parameters(kept))}
    is_guessed = True
    assert await hasher.verify("guessed", kept, ASKER) is True
    assert await hasher.verify("guessed", None, ASKER) is False


class Noting(Unobserved):
    """Notes what was refused."""

    def __init__(self) -> None:
        self.overloads: list[Overload] = []

    def overloaded(self, queue: Overload) -> None:
        self.overloads.append(queue)


@pytest.mark.parametrize(
    ("limits", "askers", "admitted", "refusal"),
    [
        ({"most_waiting": 3}, [Asker(str(number)) for number in range(9)], 4, Overload.PASSWORDS),
        ({"most_of_subject": 2}, [Asker("greedy", "192.0.2.1")] * 9, 2, Overload.SHARE),
        ({"most_of_address": 5}, [Asker(str(number), "192.0.2.1") for number in range(9)], 5, Overload.SHARE),
    ],
    ids=["all", "one user", "one address"],
)
async def test_beyond_a_bound_callers_are_asked_to_come_again(
    limits: dict[str, int], askers: list[Asker], admitted: int, refusal: Overload
) -> None:
    noting = Noting()
    hasher = cheap(threads=1, observer=noting, **limits)
    kept = await hasher.hash("correct horse", ASKER)
    asked = [hasher.verify("correct horse", kept, asker) for asker in askers]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert outcomes[:admitted] == [True] * admitted
    refused = [outcome for outcome in outcomes[admitted:] if isinstance(outcome, Unavailable)]
    assert len(refused) == len(askers) - admitted
    assert {failure.retry_after for failure in refused} == {2}
    assert noting.overloads == [refusal] * len(refused)
    assert await hasher.verify("correct horse", kept, askers[0]), "there is room again"


@pytest.mark.parametrize("password", ["password", "PassWord", "12345678", "qwertyuiop", "Iloveyou", "sunshine"])
def test_a_well_known_password_is_known_in_any_case(password: str) -> None:
    assert ZxcvbnKnownPasswords().contains(password)


def test_the_whole_list_is_known() -> None:
    known, listed = ZxcvbnKnownPasswords(), FREQUENCY_LISTS["passwords"]
    assert len(listed) > 25_000
    assert all(map(known.contains, listed))


@pytest.mark.parametrize("password", ["", "correct horse battery", "password ", "x" * 128, "pässword", "\0"])
def test_another_password_is_not(password: str) -> None:
    assert not ZxcvbnKnownPasswords().contains(password)
