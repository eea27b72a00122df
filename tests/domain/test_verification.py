"""Who holds an address, who may register it, and who gets it by a link."""

from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.domain.mails import RETRY_AFTER
from boxoffice.domain.refusals import EmailTaken, LinkExpired
from boxoffice.domain.user import User
from boxoffice.domain.verification import Link, LinkPurpose, Verification, may_hold, verify
from tests.domain.domain_driver import MICROSECOND, NOW

ADDRESS = "ana@example.org"
ANA, BEN = (User(id=UUID(int=number), name="Ana", email=ADDRESS, password_hash="", created_at=NOW) for number in (1, 2))
LINK = Link(id=UUID(int=9), purpose=LinkPurpose.VERIFY, user_id=ANA.id, email=ADDRESS, created_at=NOW, due_at=NOW)
VERIFIED = replace(ANA, verified_at=NOW)


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
