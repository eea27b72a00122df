"""The faults of API keys."""

from typing import Final

from .trial import Change, Fault

_DOMAIN: Final = "tests/domain/test_policy.py"
_USE_CASES: Final = "tests/application/api_keys/test_api_keys.py"
_STORED: Final = "tests/contract/test_api_keys.py"
_SERVED: Final = "tests/entrypoints/http/test_api_keys.py"
_TEXTS: Final = "tests/adapters/security/test_api_keys.py"

API_KEYS: Final = (
    Fault(
        "An API key of one event acts for its owner in others",
        (
            Change(
                "domain/policy.py",
                "if self.event_id is not None and not (rule.in_event and",
                "if self.event_id is None and not (rule.in_event and",
            ),
        ),
        (f"{_DOMAIN}::test_a_key_does_for_its_owner_what_its_role_allows_and_in_its_event_alone",),
    ),
    Fault(
        "An API key makes API keys",
        (
            Change(
                "domain/policy.py",
                "PersonalRight.MANAGE_ACCOUNT: KeyRule(frozenset()),",
                "PersonalRight.MANAGE_ACCOUNT: KeyRule(_AS_OWNER),",
            ),
        ),
        (f"{_DOMAIN}::test_a_key_does_for_its_owner_what_its_role_allows_and_in_its_event_alone",),
    ),
    Fault(
        "An API key of the desk books for its owner",
        (
            Change(
                "domain/decisions/book.py",
                "        command.actor.check_may_personally(PersonalRight.ACT_AS_CUSTOMER, inventory.event.id)\n",
                "        pass\n",
            ),
        ),
        (f"{_DOMAIN}::test_a_key_books_pays_and_cancels_for_its_owner_as_an_organizers_in_its_event",),
    ),
    Fault(
        "An API key that reads pays for its owner",
        (
            Change(
                "domain/decisions/payments/pay.py",
                "    command.actor.check_may_personally(PersonalRight.ACT_AS_CUSTOMER, inventory.event.id)\n",
                "",
            ),
        ),
        (f"{_DOMAIN}::test_a_key_books_pays_and_cancels_for_its_owner_as_an_organizers_in_its_event",),
    ),
    Fault(
        "A revoked API key is accepted for as long as a read takes, and three seconds",
        (
            Change(
                "application/api_keys/known_keys.py",
                "until = self._seconds() + READ_EVERY\n            read = await self._api_keys.by_digest(some)",
                "read = await self._api_keys.by_digest(some)\n            until = self._seconds() + READ_EVERY",
            ),
        ),
        (f"{_USE_CASES}::test_a_read_counts_from_when_it_was_begun",),
    ),
    Fault(
        "An API key that was read once is known for ever",
        (
            Change(
                "application/api_keys/known_keys.py",
                "if known is not None and now < known[0]:",
                "if known is not None:",
            ),
        ),
        (f"{_USE_CASES}::test_a_change_holds_after_the_next_read_in_every_process",),
    ),
    Fault(
        "Made-up API keys displace those that exist",
        (
            Change(
                "application/api_keys/known_keys.py",
                "while len(remembered) > MOST_KEYS:",
                "while len(remembered) and len(self._known) + len(self._unknown) > MOST_KEYS:",
            ),
        ),
        (f"{_USE_CASES}::test_made_up_keys_share_reads_of_bounded_size_and_displace_no_key",),
    ),
    Fault(
        "Made-up API keys fill the memory",
        (
            Change(
                "application/api_keys/known_keys.py",
                "for remembered in (self._known, self._unknown):",
                "for remembered in (self._known,):",
            ),
        ),
        (f"{_USE_CASES}::test_made_up_keys_share_reads_of_bounded_size_and_displace_no_key",),
    ),
    Fault(
        "An expired API key is accepted until it is read again",
        (Change("application/api_keys/use_api_key.py", " or not found.key.is_live(now)", ""),),
        (f"{_USE_CASES}::test_a_key_is_refused_from_the_moment_when_it_expires",),
    ),
    Fault(
        "An API key outlives the disabling of its owner",
        (
            Change(
                "adapters/memory/accounts/api_keys.py",
                "owners[digest].role if owners[digest].may_sign_in else None",
                "owners[digest].role",
            ),
        ),
        (f"{_STORED}::test_keys_come_back_as_they_were_saved_with_their_owners_of_today[memory]",),
    ),
    Fault(
        "In a database an API key outlives the disabling of its owner",
        (Change("adapters/sql/queries/api_keys.py", "None if disabled_at or erased_at else role", "role"),),
        (f"{_STORED}::test_keys_come_back_as_they_were_saved_with_their_owners_of_today[sqlite]",),
    ),
    Fault(
        "Every use of an API key is written to the database",
        (
            Change(
                "adapters/sql/repositories/accounts/api_keys.py",
                'api_keys.c.last_used_at <= bindparam("last")',
                'api_keys.c.last_used_at != bindparam("last")',
            ),
        ),
        (f"{_STORED}::test_a_use_is_stored_once_a_minute_and_never_for_a_key_that_is_gone[sqlite]",),
    ),
    Fault(
        "In memory an API key that is revoked while its use is stored comes back",
        (
            Change(
                "adapters/memory/commit.py",
                "if key is not None and (key_id in new or key_id in tables.api_keys):",
                "if key is not None:",
            ),
        ),
        (f"{_USE_CASES}::test_a_key_revoked_while_its_use_is_stored_stays_revoked",),
    ),
    Fault(
        "API keys are stored as they are",
        (Change("adapters/security/api_keys.py", "return sha256(text.encode()).digest()", "return text.encode()"),),
        (f"{_TEXTS}::test_a_key_is_random_behind_a_prefix_and_its_digest_is_all_that_is_stored",),
    ),
    Fault(
        "A stored answer contains the API key",
        (
            Change(
                "application/api_keys/create_api_key.py",
                "CreatedKey(key, self._texts.sealed(text.text))",
                "CreatedKey(key, text.text)",
            ),
        ),
        (f"{_SERVED}::TestMaking",),
    ),
    Fault(
        "An API key that only reads gets the answers of its owner's changes",
        (
            Change(
                "entrypoints/http/idempotency.py",
                "if bounds is not None and not bounds.is_whole:",
                "if bounds is not None and bounds.is_whole:",
            ),
        ),
        (f"{_SERVED}::TestCalling",),
    ),
    Fault(
        "A user may make any number of API keys",
        (Change("domain/user.py", "if live_keys >= MOST_API_KEYS:", "if live_keys > 10 * MOST_API_KEYS:"),),
        (f"{_USE_CASES}::test_there_are_fifty_keys_at_most_and_expired_ones_make_room",),
    ),
    Fault(
        "A password that is reset leaves the API keys",
        (
            Change(
                "application/accounts/reset_password.py",
                "            await unit_of_work.api_keys.remove_of(changed.id)\n",
                "",
            ),
        ),
        (
            "tests/application/accounts/test_reset_password.py::test_a_forgotten_password_is_replaced_by_the_link_in_a_mail",
        ),
    ),
)
