"""Refusals: one stable code each, and a sentence for a person."""

import re

import pytest

from boxoffice.domain import refusals
from boxoffice.domain.refusals import FieldError, InvalidRequest, Refusal, StateRefusal, invalid


def every(kind: type[Refusal]) -> list[type[Refusal]]:
    """A refusal and all that are more special."""
    return [each for below in kind.__subclasses__() for each in (below, *every(below))]


REFUSALS = [each for each in every(Refusal) if each is not StateRefusal]
STATE_CODES = {
    "not-on-sale",
    "event-started",
    "event-closed",
    "illegal-status-change",
    "cancellation-closed",
    "already-cancelled",
    "exceeds-capacity",
    "already-booked",
    "limit-exceeded",
    "capacity-below-taken",
    "too-many-events",
    "too-many-ticket-types",
    "name-taken",
    "email-taken",
}


def test_the_hierarchy_is_closed() -> None:
    assert {each.__module__ for each in REFUSALS} == {refusals.__name__}


def test_every_refusal_has_a_code_of_its_own() -> None:
    codes = [each.code for each in REFUSALS]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


def test_what_the_state_refuses_has_the_codes_of_the_contract() -> None:
    assert {each.code for each in REFUSALS if issubclass(each, StateRefusal)} >= STATE_CODES


def test_waiting_changes_some_of_them() -> None:
    passing = {each.code for each in REFUSALS if issubclass(each, StateRefusal) and each.may_pass}
    assert passing == {"not-on-sale", "payment-under-way", "request-in-progress", "too-many-events"}


@pytest.mark.parametrize("kind", [each for each in REFUSALS if each.default], ids=lambda kind: str(kind.code))
def test_a_refusal_says_its_default_unless_it_is_told_better(kind: type[Refusal]) -> None:
    assert kind().detail == kind.default == str(kind())
    assert kind("Because.").detail == "Because."


def test_members_help_a_program() -> None:
    refusal = refusals.AlreadyBooked(bookingId="7", left=None)
    assert refusal.members == {"bookingId": "7", "left": None}


def test_an_invalid_request_says_where_and_what() -> None:
    refusal = InvalidRequest(FieldError(("types", 0, "name"), "must not be empty"), FieldError((), "is empty"))
    assert refusal.detail == "types.0.name must not be empty; request is empty"
    assert invalid("is wrong", "a", 1).errors == (FieldError(("a", 1), "is wrong"),)
