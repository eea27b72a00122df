"""Passwords are kept as argon2id, checked in a bounded pool, and the well-known ones are known."""

import asyncio
import threading
from typing import Any

import pytest
from argon2 import extract_parameters
from argon2.low_level import Type, hash_secret

from boxoffice.adapters.security import Argon2PasswordHasher, ZxcvbnKnownPasswords
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.observability import Overload, Unobserved
from boxoffice.application.ports.security import Asker

ASKER = Asker("ada")


def cheap(**limits: Any) -> Argon2PasswordHasher:
    return Argon2PasswordHasher(memory=8, passes=1, **limits)


async def test_a_password_fits_its_hash_and_no_other_does() -> None:
    hasher = cheap()
    kept = await hasher.hash("correct hörse", ASKER)
    assert await hasher.verify("correct hörse", kept, ASKER)
    for other in ("correct hörsE", "correct hörse ", "correct horse", "", "\0", "x" * 1_024, kept):
        assert not await hasher.verify(other, kept, ASKER)


async def test_the_same_password_is_never_kept_the_same_way() -> None:
    hasher = cheap()
    assert await hasher.hash("correct horse", ASKER) != await hasher.hash("correct horse", ASKER)


async def test_the_work_is_what_owasp_asks_for() -> None:
    parameters = extract_parameters(await Argon2PasswordHasher().hash("correct horse", ASKER))
    assert parameters.type is Type.ID
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19 * 1024, 2, 1)
    assert parameters.salt_len >= 16
    assert parameters.hash_len >= 32


async def test_a_hash_of_other_parameters_is_still_checked() -> None:
    kept = await Argon2PasswordHasher(memory=16, passes=2).hash("correct horse", ASKER)
    assert await cheap().verify("correct horse", kept, ASKER)


@pytest.mark.parametrize(
    ("made", "is_outdated"),
    [
        ({"memory": 64, "passes": 2}, False),
        ({"memory": 63, "passes": 2}, True),
        ({"memory": 64, "passes": 1}, True),
        ({"memory": 8, "passes": 3}, True),
        ({"memory": 65, "passes": 3}, False),
    ],
)
async def test_a_hash_that_took_less_work_than_todays_is_outdated(made: dict[str, Any], is_outdated: bool) -> None:
    kept = await Argon2PasswordHasher(**made).hash("correct horse", ASKER)
    assert Argon2PasswordHasher(memory=64, passes=2).is_outdated(kept) is is_outdated


def test_a_hash_of_the_weaker_kinds_of_argon2_is_outdated() -> None:
    for kind in (Type.I, Type.D):
        kept = hash_secret(b"correct horse", bytes(16), 9, 999, 1, 32, kind).decode()
        assert cheap().is_outdated(kept)


@pytest.mark.parametrize("kept", ["", "x", "$argon2id$", "$2b$12$" + "a" * 53, "$argon2id$v=19$m=x,t=1,p=1$c2Fs$c2Fs"])
def test_what_is_no_hash_is_not_outdated(kept: str) -> None:
    assert cheap().is_outdated(kept) is False


@pytest.mark.parametrize(
    "kept",
    [
        *(
            "",
            " ",
            "x",
            "correct horse",
            "$",
            "$$$$$",
            "$argon2id$",
            "$2b$12$" + "a" * 53,
            "{SSHA}abc",
            "pbkdf2:sha256",
        ),
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$",
        "$argon2id$v=19$m=8,t=1,p=1$!!!!$????",
        "$argon2id$v=99$m=8,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA",
        "$argon2id$v=19$m=0,t=0,p=0$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA",
        "$argon2id$v=19$m=x,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA",
        "$argon2id$ü",
        "\ud800",
    ],
    ids=lambda kept: ascii(kept)[:30],
)
async def test_what_is_no_hash_fits_no_password(kept: str) -> None:
    assert await cheap().verify("correct horse", kept, ASKER) is False


async def test_without_an_account_the_same_work_is_done_and_nothing_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = cheap()
    checked: list[str] = []
    argon2 = hasher._argon2

    class Noting:
        hash = argon2.hash

        def verify(self, kept: str, password: str) -> bool:
            checked.append(kept)
            return argon2.verify(kept, password)

    monkeypatch.setattr(hasher, "_argon2", Noting())
    kept = await hasher.hash("correct horse", ASKER)
    assert not await hasher.verify("wrong horse", kept, ASKER)
    for password in ("correct horse", "", "\0" * 32):
        assert await hasher.verify(password, None, ASKER) is False
    assert len(checked) == 4
    assert {str(extract_parameters(each)) for each in checked} == {str(extract_parameters(kept))}


async def test_without_an_account_nothing_fits_even_if_the_dummy_were_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = cheap()
    monkeypatch.setattr(hasher, "_fits", lambda *_: True)
    assert await hasher.verify("guessed", None, ASKER) is False
    assert await hasher.verify("guessed", "a hash", ASKER) is True


async def test_it_works_beside_the_event_loop_and_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop goes on while two are at work; of what comes beyond the bound, each is told to try again."""
    hasher = cheap(threads=2, most_waiting=3)
    at_work = threading.Semaphore(0)
    may_end = threading.Event()
    most, now, lock = 0, 0, threading.Lock()

    def slow(*_: Any) -> bool:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        at_work.release()
        assert may_end.wait(30)
        with lock:
            now -= 1
        return True

    monkeypatch.setattr(hasher, "_fits", slow)
    admitted = [asyncio.create_task(hasher.verify("x", "y", ASKER)) for _ in range(5)]
    await asyncio.sleep(0)  # Lets them queue up: two at work, three waiting.
    for _ in range(2):
        assert await asyncio.to_thread(at_work.acquire, timeout=30)
    with pytest.raises(Unavailable) as failure:
        await hasher.verify("x", "y", ASKER)
    with pytest.raises(Unavailable):
        await hasher.hash("x", Asker("ben"))
    assert failure.value.retry_after >= 1
    may_end.set()
    assert await asyncio.gather(*admitted) == [True] * 5
    assert most == 2
    assert await hasher.verify("x", "y", ASKER), "there is room again"


async def test_whoever_gives_up_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = cheap(threads=1, most_waiting=1)
    may_end = threading.Event()
    monkeypatch.setattr(hasher, "_fits", lambda *_: may_end.wait(30))
    first = asyncio.create_task(hasher.verify("x", "y", ASKER))
    second = asyncio.create_task(hasher.verify("x", "y", ASKER))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    third = asyncio.create_task(hasher.verify("x", "y", ASKER))
    await asyncio.sleep(0)
    may_end.set()
    assert await first
    assert await third


class Slow:
    """Checks that wait until a test lets them end, and in which order they began."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **limits: Any) -> None:
        self.overloads: list[Overload] = []
        self.hasher = cheap(observer=self, **limits)
        self.began: list[str] = []
        self._at_work = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)
        monkeypatch.setattr(self.hasher, "_fits", self._check)

    def __getattr__(self, name: str) -> Any:
        return getattr(Unobserved(), name)

    def overloaded(self, queue: Overload) -> None:
        self.overloads.append(queue)

    async def ask(self, who: str, address: str | None = None, times: int = 1) -> "list[asyncio.Task[bool]]":
        tasks = [asyncio.create_task(self.hasher.verify(who, "y", Asker(who, address))) for _ in range(times)]
        await asyncio.sleep(0)
        return tasks

    async def end(self, *tasks: "asyncio.Task[bool]") -> None:
        for _ in tasks:
            self.may_end.release()
        assert await asyncio.gather(*tasks) == [True] * len(tasks)

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self._at_work.acquire, timeout=30)

    def _check(self, password: str, _: str) -> bool:
        self.began.append(password)
        self._at_work.release()
        assert self.may_end.acquire(timeout=30)
        return True


async def test_many_of_one_user_keep_others_waiting_for_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch, threads=1)
    greedy = await slow.ask("greedy", "192.0.2.1", 400)
    refused = [task for task in greedy if task.done()]
    assert len(refused) == 400 - 16
    assert all(isinstance(task.exception(), Unavailable) for task in refused)
    assert slow.overloads == [Overload.SHARE] * len(refused)
    same_place = await slow.ask("ada", "192.0.2.1", 2)
    elsewhere = await slow.ask("ben", "192.0.2.2")
    admitted = [task for task in greedy if task not in refused]
    await slow.end(*admitted, *same_place, *elsewhere)
    assert slow.began[:6] == ["greedy", "greedy", "ben", "ada", "greedy", "ada"]


async def test_one_address_with_many_accounts_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch, threads=1, most_waiting=9, most_of_address=5)
    greedy = [task for number in range(8) for task in await slow.ask(f"greedy {number}", "192.0.2.1")]
    assert slow.overloads == [Overload.SHARE] * 3
    others = [task for number in range(6) for task in await slow.ask(f"other {number}")]
    assert slow.overloads == [Overload.SHARE] * 3 + [Overload.PASSWORDS]
    await slow.end(*(task for task in (*greedy, *others) if not task.done()))
    assert slow.began[:4] == ["greedy 0", "greedy 1", "other 0", "other 1"]
    assert slow.began[5:7] == ["other 3", "other 4"]


async def test_a_caller_who_went_away_has_the_thread_until_its_work_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else whoever connects and goes away again and again would fill the threads."""
    slow = Slow(monkeypatch, threads=1, most_of_subject=1)
    (gone,) = await slow.ask("gone")
    await slow.has_begun()
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    (refused,) = await slow.ask("gone")
    with pytest.raises(Unavailable):
        await refused
    (other,) = await slow.ask("ada")
    assert slow.began == ["gone"]
    slow.may_end.release()
    await slow.end(other)
    (again,) = await slow.ask("gone")
    await slow.end(again)


@pytest.mark.parametrize(
    "password", ["password", "PASSWORD", "PassWord", "12345678", "qwertyuiop", "iloveyou", "Iloveyou", "sunshine"]
)
def test_a_well_known_password_is_known_in_any_case(password: str) -> None:
    assert ZxcvbnKnownPasswords().contains(password)


@pytest.mark.parametrize(
    "password", ["", "correct horse battery", "password ", " password", "x" * 128, "pässword", "\0"]
)
def test_another_password_is_not(password: str) -> None:
    assert not ZxcvbnKnownPasswords().contains(password)


def test_the_list_is_a_long_one() -> None:
    assert len(ZxcvbnKnownPasswords()._known) > 25_000
