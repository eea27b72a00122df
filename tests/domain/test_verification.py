"""Who holds an address, who may register it, and who gets it by a link."""

from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.domain.mails import RETRY_AFTER
from boxoffice.domain.refusals import EmailTaken, LinkExpired
from boxoffice.domain.user import User
from boxoffice.domain.verification import (
    Link,
    LinkPurpose,
    Verification,
    change_address,
    may_hold,
    reset_password,
    verify,
)
from tests.domain.domain_driver import MICROSECOND, NOW

ADDRESS = "ana@example.org"
ANA, BEN = (User(id=UUID(int=number), name="Ana", email=ADDRESS, password_hash="", created_at=NOW) for number in (1, 2))
LINK = Link(id=UUID(int=9), purpose=LinkPurpose.VERIFY, user_id=ANA.id, email=ADDRESS, created_at=NOW, due_at=NOW)
VERIFIED = replace(ANA, verified_at=NOW)
NEW = "new@example.org"
TO_NEW = replace(LINK, email=NEW)
RESET = replace(LINK, purpose=LinkPurpose.RESET)
LATER = NOW + timedelta(minutes=59)


def test_an_address_that_nobody_holds_can_be_registered() -> None:
    assert may_hold(None, can_verify=True)
    assert may_hold(None, can_verify=False)


def test_an_unverified_address_can_be_claimed_where_mails_are_sent() -> None:
    assert not may_hold(ANA, can_verify=True)
    for holder, can_verify in ((ANA, False), (VERIFIED, True), (VERIFIED, False)):
        with pytest.raises(EmailTaken):
            may_hold(holder, can_verify=can_verify)


def test_a_holder_verifies_its_address_once_and_for_all() -> None:
    assert verify(LINK, ANA, ANA, NOW) == Verification(VERIFIED)
    assert verify(LINK, VERIFIED, VERIFIED, NOW + timedelta(hours=1)) == Verification(VERIFIED)


def test_a_claim_takes_an_address_that_was_never_verified() -> None:
    assert verify(LINK, ANA, BEN, NOW) == Verification(VERIFIED, replace(BEN, email=None))
    assert verify(LINK, ANA, None, NOW) == Verification(VERIFIED), "the holder is gone"


def test_a_verified_address_is_not_taken() -> None:
    with pytest.raises(EmailTaken):
        verify(LINK, ANA, replace(BEN, verified_at=NOW), NOW)


def test_a_link_is_good_for_24_hours_for_the_address_that_it_was_sent_to() -> None:
    day = timedelta(hours=24)
    assert verify(LINK, ANA, ANA, NOW + day - MICROSECOND).user.is_verified
    for link, user, now in (
        (None, ANA, NOW),
        (LINK, None, NOW),
        (LINK, ANA, NOW + day),
        (LINK, replace(ANA, email=None), NOW),
        (replace(LINK, purpose=LinkPurpose.RESET), ANA, NOW),
        (TO_NEW, ANA, NOW),
        (LINK, replace(ANA, email="other@example.org"), NOW),
    ):
        with pytest.raises(LinkExpired):
            verify(link, user, None, now)


def test_a_mail_with_a_link_is_retried_and_given_up() -> None:
    link = LINK
    for attempt, wait in enumerate(RETRY_AFTER, start=1):
        link = link.has_failed(NOW, 0.5)
        assert (link.attempts, link.due_at) == (attempt, NOW + wait)
    assert link.has_failed(NOW, 0.5) == replace(link, due_at=None) == link.has_left()


@pytest.mark.parametrize(
    ("user", "address"),
    [(ANA, ADDRESS), (VERIFIED, None), (replace(ANA, email=None), None), (replace(ANA, email="x@x..org"), None)],
)
def test_only_an_unverified_address_that_mail_can_reach_is_to_be_verified(user: User, address: str | None) -> None:
    assert user.address_to_verify == address


def test_an_account_that_lost_its_address_is_not_verified() -> None:
    assert VERIFIED.is_verified
    assert not ANA.is_verified
    assert not replace(VERIFIED, email=None).is_verified


# Another address.


def test_another_address_is_pending_and_the_own_one_ends_the_change() -> None:
    pending = replace(VERIFIED, pending_email=NEW)
    for user in (VERIFIED, pending, replace(VERIFIED, pending_email="older@example.org")):
        assert change_address(user, NEW, None) == pending
        assert change_address(user, ADDRESS, user) == VERIFIED
    assert change_address(VERIFIED, NEW, replace(BEN, email=NEW)) == pending, "it was never verified"
    with pytest.raises(EmailTaken):
        change_address(VERIFIED, NEW, replace(BEN, email=NEW, verified_at=NOW))


def test_a_pending_address_replaces_the_old_one_once_it_is_verified() -> None:
    pending = replace(VERIFIED, pending_email=NEW)
    moved = replace(ANA, email=NEW, verified_at=LATER)
    assert verify(TO_NEW, pending, None, LATER) == Verification(moved, None, ADDRESS, ADDRESS)
    squatter = replace(BEN, email=NEW)
    unverified = replace(ANA, pending_email=NEW)
    assert verify(TO_NEW, unverified, squatter, LATER) == Verification(moved, replace(BEN, email=None), ADDRESS)
    assert verify(TO_NEW, replace(unverified, email=None), None, LATER) == Verification(moved)
    assert verify(LINK, unverified, unverified, LATER).user == replace(unverified, verified_at=LATER), "it goes on"
    with pytest.raises(EmailTaken):
        verify(TO_NEW, pending, replace(squatter, verified_at=NOW), LATER)


def test_a_registration_takes_over_the_account_that_a_desk_made_for_its_person() -> None:
    claim, made = replace(ANA, password_hash="theirs"), replace(BEN, name="As at the desk", password_hash=None)
    taken_over = replace(made, name="Ana", password_hash="theirs", verified_at=LATER)
    assert verify(LINK, claim, made, LATER, is_claim=True) == Verification(taken_over)
    assert verify(LINK, claim, BEN, LATER, is_claim=True).loser == replace(BEN, email=None), "somebody signs in to it"
    moving = replace(ANA, email="old@example.org", pending_email=ADDRESS)
    assert verify(LINK, moving, made, LATER).loser == replace(made, email=None), "an account is not merged with another"
    with pytest.raises(EmailTaken):
        verify(LINK, claim, replace(made, verified_at=NOW), LATER, is_claim=True)


def test_the_pending_address_is_the_one_to_verify() -> None:
    assert replace(VERIFIED, pending_email=NEW).address_to_verify == NEW
    assert replace(ANA, pending_email=NEW).address_to_verify == NEW


# Another password.


@pytest.mark.parametrize("user", [ANA, VERIFIED, replace(ANA, password_hash=None), replace(ANA, pending_email=NEW)])
def test_a_link_to_the_address_sets_a_password_and_verifies_it(user: User) -> None:
    changed = reset_password(RESET, user, "new hash", LATER)
    assert changed == replace(ANA, password_hash="new hash", verified_at=user.verified_at or LATER)
    assert user.address_for_reset == ADDRESS


def test_a_link_sets_a_password_for_an_hour_at_its_own_address_of_who_may_sign_in() -> None:
    for link, user, now in (
        (None, ANA, NOW),
        (LINK, ANA, NOW),
        (RESET, None, NOW),
        (RESET, ANA, NOW + timedelta(hours=1)),
        (RESET, replace(ANA, email=NEW), NOW),
        (RESET, replace(ANA, email=None), NOW),
        (RESET, replace(ANA, disabled_at=NOW), NOW),
        (RESET, replace(ANA, erased_at=NOW), NOW),
    ):
        with pytest.raises(LinkExpired):
            reset_password(link, user, "new hash", now)


def test_no_mail_with_a_new_password_goes_to_who_may_not_sign_in_or_cannot_be_reached() -> None:
    barred = ({"disabled_at": NOW}, {"erased_at": NOW}, {"email": None}, {"email": "x@x..org"})
    assert [replace(VERIFIED, **each).address_for_reset for each in barred] == [None] * 4


def test_a_link_is_over_once_nothing_comes_of_it() -> None:
    nowhere, told = replace(RESET, user_id=RESET.id), replace(LINK, purpose=LinkPurpose.REPLACED)
    assert [each.is_over for each in (RESET, nowhere, told)] == [False] * 3
    assert [each.has_left().is_over for each in (LINK, RESET, nowhere, told)] == [False, False, True, True]
    assert (RESET.has_account, nowhere.has_account) == (True, False)
