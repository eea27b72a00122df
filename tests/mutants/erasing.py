"""Faults of what is left of erased accounts, of how it is found, and of exports."""

from typing import Final

from .trial import Change, Fault

_COUNTED: Final = (
    "tests/contract/test_erasures.py::test_what_is_left_of_an_erased_account_is_counted_once_its_erasure_is_finished"
)
_RESETTING: Final = "tests/application/accounts/test_reset_password.py"

ERASING: Final = (
    Fault(
        "What is left of erased accounts is not looked for in a database",
        (Change("adapters/sql/snapshot.py", "    **LEFT_OF_ERASED,\n", ""),),
        (f"{_COUNTED}[sqlite]",),
    ),
    Fault(
        "An erasure that is not finished breaks a promise",
        (
            Change(
                "adapters/sql/queries/erased_accounts.py",
                ".where(erasures.c.user_id.is_(None))",
                "",
            ),
        ),
        (f"{_COUNTED}[sqlite]",),
    ),
    Fault(
        "What is left of erased accounts is not looked for in memory",
        (Change("adapters/memory/snapshot.py", "{**found, **self._left_of_erased()}", "found"),),
        ("tests/application/background/test_verify_promises.py::test_what_is_left_of_an_erased_account_is_found",),
    ),
    Fault(
        "A link that is asked for while an account is erased keeps its address",
        (
            Change(
                "application/accounts/reset_password.py",
                "        async def queue(unit_of_work: UnitOfWork) -> None:\n"
                "            await self._mails.lock(unit_of_work, address)\n"
                "            # Under the locks, so that no link is added to an account that is just being erased.\n"
                "            user = await unit_of_work.users.lock_by_email(address)\n",
                "        user = await self._storage.account_queries.user_by_email(address)\n\n"
                "        async def queue(unit_of_work: UnitOfWork) -> None:\n"
                "            await self._mails.lock(unit_of_work, address)\n",
            ),
        ),
        (f"{_RESETTING}::test_a_link_that_is_asked_for_while_the_account_is_erased_leads_nowhere",),
    ),
    Fault(
        "A page of an export holds all tickets of its bookings",
        (
            Change(
                "application/personal_data/export_account.py",
                "list(islice(tickets, TICKETS_AT_ONCE))",
                "list(tickets)",
            ),
        ),
        ("tests/application/personal_data/test_export_account.py::test_tickets_come_in_pages_of_bounded_size",),
    ),
)
