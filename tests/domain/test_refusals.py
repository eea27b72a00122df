"""Refusals: one stable code each, and a sentence for a person."""

import re

from boxoffice.domain import refusals
from boxoffice.domain.refusals import FieldError, InvalidRequest, Refusal, StateRefusal, invalid


def every(kind: type[Refusal]) -> list[type[Refusal]]:
    """A refusal and all that are more special."""
    return [each for below in kind.__subclasses__() for each in (below, *every(below))]


REFUSALS = [each for each in every(Refusal) if each is not StateRefusal]


def test_the_hierarchy_is_closed() -> None:
    assert {each.__module__ for each in REFUSALS} == {refusals.__name__}


def test_every_refusal_has_a_code_of_its_own() -> None:
    codes = [each.code for each in REFUSALS]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


def test_some_refusals_may_pass_with_time() -> None:
    passing = {each.code for each in REFUSALS if issubclass(each, StateRefusal) and each.may_pass}
    assert passing == {
        "bookings-bind",
        "not-on-sale",
        "payment-under-way",
        "request-in-progress",
        "sold-out",
        "too-many-api-keys",
        "too-many-events",
    }


def test_a_refusal_has_a_default_sentence_and_members_for_programs() -> None:
    for kind in [each for each in REFUSALS if each.default]:
        assert kind().detail == kind.default == str(kind())
        assert kind("Because.").detail == "Because."
    assert refusals.AlreadyBooked(booking_id="7", left=None).members == {"booking_id": "7", "left": None}


def test_an_invalid_request_says_where_and_what() -> None:
    refusal = InvalidRequest(FieldError(("types", 0, "name"), "must not be empty"), FieldError((), "is empty"))
    assert refusal.detail == "types.0.name must not be empty; request is empty"
    assert invalid("is wrong", "a", 1).errors == (FieldError(("a", 1), "is wrong"),)
