"""Ids are of version 7 and sort by their age."""

from uuid import RFC_4122, UUID

from boxoffice.adapters.system import Uuid7Ids


def test_ids_are_uuids_of_version_7_in_the_type_of_the_standard_library() -> None:
    made = Uuid7Ids().new()
    assert type(made) is UUID
    assert (made.version, made.variant) == (7, RFC_4122)


def test_ids_of_one_process_sort_by_their_age() -> None:
    makers = [Uuid7Ids() for _ in range(3)]
    made = [makers[number % 3].new() for number in range(50_000)]
    assert made == sorted(set(made))
