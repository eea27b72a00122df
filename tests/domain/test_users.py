"""Users: how long sessions and API keys are good, and how many keys there may be."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from boxoffice.domain.policy import KeyRole, KeyScope
from boxoffice.domain.refusals import InvalidRequest, TooManyApiKeys
from boxoffice.domain.user import MOST_API_KEYS, ApiKey, Session, check_room_for_an_api_key
from tests.domain.domain_driver import ANA, EVENT_ID, MICROSECOND, NOW


def test_a_session_is_good_until_it_expires_to_the_microsecond_or_ends() -> None:
    expires = NOW + timedelta(minutes=15)
    session = Session(id=EVENT_ID, user_id=ANA.user_id, created_at=NOW, expires_at=expires)
    assert session.is_live(expires - MICROSECOND)
    assert not session.is_live(expires)
    assert not replace(session, ended_at=NOW).is_live(NOW)


def test_an_api_key_is_good_until_it_expires_to_the_microsecond() -> None:
    key = ApiKey(id=EVENT_ID, user_id=ANA.user_id, name="Door", role=KeyRole.DOOR, event_id=EVENT_ID, created_at=NOW)
    assert key.is_live(NOW + timedelta(days=36_500))
    assert key.scope == KeyScope(KeyRole.DOOR, EVENT_ID)
    expires = NOW + timedelta(minutes=15)
    expiring = replace(key, expires_at=expires)
    assert expiring.is_live(expires - MICROSECOND)
    assert not expiring.is_live(expires)


def test_a_new_api_key_expires_in_the_future_and_there_are_not_too_many() -> None:
    key = ApiKey(id=EVENT_ID, user_id=ANA.user_id, name="Door", role=KeyRole.DOOR, created_at=NOW)
    key.check_is_live(NOW)
    replace(key, expires_at=NOW + MICROSECOND).check_is_live(NOW)
    with pytest.raises(InvalidRequest, match="expires_at must be in the future"):
        replace(key, expires_at=NOW).check_is_live(NOW)
    check_room_for_an_api_key(MOST_API_KEYS - 1)
    with pytest.raises(TooManyApiKeys):
        check_room_for_an_api_key(MOST_API_KEYS)
