"""Users: who may organize, and how long a session is good."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from boxoffice.domain.user import Actor, Organizers, Role, Session
from tests.domain.office import ANA, EVENT_ID, MICROSECOND, NOW


@pytest.mark.parametrize("role", list(Role))
def test_where_organizing_is_granted_the_role_decides(role: Role) -> None:
    actor = Actor(ANA.user_id, role)
    assert actor.may_organize(Organizers.EVERYONE)
    assert actor.may_organize(Organizers.GRANTED) is (role is not Role.CUSTOMER)


def test_everybody_is_a_customer_unless_told_otherwise() -> None:
    assert Actor(ANA.user_id).role is Role.CUSTOMER


def test_a_session_is_good_until_it_expires_to_the_microsecond_or_ends() -> None:
    expires = NOW + timedelta(minutes=15)
    session = Session(id=EVENT_ID, user_id=ANA.user_id, created_at=NOW, expires_at=expires)
    assert session.is_live(expires - MICROSECOND)
    assert not session.is_live(expires)
    assert not replace(session, ended_at=NOW).is_live(NOW)
