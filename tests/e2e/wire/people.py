"""Who calls the service, and what there is for them to call about."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
from msgspec import Struct

PASSWORD: Final = "another horse altogether"
"""Not that of the reference's examples, which would be changed for theirs."""


class Person(Struct, frozen=True):
    """An account with its access token."""

    email: str
    token: str
    url: str

    def signed_in_again(self) -> "Person":
        """The same with a new token."""
        body = {"email": self.email, "password": PASSWORD}
        answer = httpx.post(f"{self.url}/login", json=body, timeout=60)
        return Person(self.email, answer.json()["accessToken"], self.url)

    def post(self, path: str, body: Any) -> dict[str, Any]:
        """What is answered. Raises: httpx.HTTPStatusError."""
        answer = httpx.post(self.url + path, json=body, headers={"Authorization": f"Bearer {self.token}"}, timeout=60)
        answer.raise_for_status()
        answered: dict[str, Any] = answer.json()
        return answered

    def get(self, path: str) -> dict[str, Any]:
        """What is answered. Raises: httpx.HTTPStatusError."""
        answer = httpx.get(self.url + path, headers={"Authorization": f"Bearer {self.token}"}, timeout=60)
        answer.raise_for_status()
        answered: dict[str, Any] = answer.json()
        return answered

    def initialize(self, **fields: Any) -> dict[str, Any]:
        """A new event of this person's."""
        total = {} if "ticketTypes" in fields else {"totalTickets": 1_000}
        return self.post("/initialize", {"name": "Jazz night", **total, **fields})

    def book(self, event: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """A new booking of this person's."""
        return self.post("/book", {"eventId": event["id"], **fields})


class People(Struct, frozen=True):
    """Those who call."""

    organizer: Person
    customer: Person


def sign_up(url: str, *names: str) -> People:
    """New accounts."""
    return People(*(_person(url, f"{name}@example.org") for name in names or ("organizer", "customer")))


def _person(url: str, email: str) -> Person:
    body = {"name": "Ada", "email": email, "password": PASSWORD}
    httpx.post(f"{url}/create-user", json=body, timeout=60).raise_for_status()
    return Person(email, "", url).signed_in_again()


def next_year() -> datetime:
    """A time that is still to come."""
    return datetime.now(UTC) + timedelta(days=365)
