"""The pages that the service serves load nothing from anywhere, and lead nowhere else."""

import re
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.http.kinds import KINDS
from boxoffice.entrypoints.settings import Settings

LOADING = frozenset({"action", "background", "cite", "data", "formaction", "href", "manifest", "ping", "poster", "src"})
LOADING |= {"srcset", "xlink:href"}
"""Attributes whose value a browser may fetch, by itself or when somebody clicks."""

ACTIVE = frozenset({"base", "embed", "iframe", "img", "link", "object", "script", "video", "audio", "source", "track"})


class References(HTMLParser):
    """What a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()
        self.ids: set[str] = set()
        self._is_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._is_style = tag == "style"
        for name, value in attrs:
            if name in LOADING:
                self.found.append(value or "")
            elif name == "id":
                self.ids.add(value or "")
            elif name == "style" or name.startswith("on") or name == "http-equiv":
                self.found.append(f"{name}: {value}")

    def handle_data(self, data: str) -> None:
        if self._is_style:
            self.found += re.findall(r"url\([^)]*\)|@import[^;]*|@font-face[^}]*", data)


def references(page: str) -> References:
    read = References()
    read.feed(page)
    read.close()
    return read


async def pages() -> dict[str, httpx.Response]:
    app: Any = create_app(make_container(Settings(database_url="memory://")))
    paths = ["/docs", *(f"/problems/{code}" for code in KINDS)]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://boxoffice") as client:
        return {path: await client.get(path, headers={"Accept": "text/html"}) for path in paths}


async def test_no_page_loads_or_leads_to_anything_elsewhere() -> None:
    served = await pages()
    assert len(served) > 20
    for path, answer in served.items():
        assert answer.headers["content-type"].startswith("text/html"), path
        page = references(answer.text)
        assert not page.tags & ACTIVE, path
        # Our own pages and places on the page itself.
        for found in page.found:
            assert re.fullmatch(r"#[\w-]+|/problems/[a-z-]+|/openapi\.json", found), f"{path}: {found}"
            if found.startswith("#"):
                assert found[1:] in page.ids, f"{path}: {found} is nowhere"
            elif found.startswith("/problems/"):
                assert found in served
        # What looks like an address is an example in the text, at hosts that belong to nobody (RFC 2606).
        for host in re.findall(r"(?:https?:)?//([\w.-]+)", answer.text):
            assert host.endswith(("example.org", "example.com", "localhost", "127.0.0.1")), f"{path}: {host}"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy


@pytest.mark.parametrize(
    "page",
    [
        "<link rel=stylesheet href=https://cdn.example.net/a.css>",
        "<script src=//cdn.example.net/a.js></script>",
        "<img srcset='https://a.example.net/b 2x'>",
        "<style>@import 'https://fonts.example.net/a'; b{background:url(//x)}</style>",
        "<p onclick='fetch(1)' style='background:url(x)'>",
        "<a href=https://elsewhere.example.net>x</a>",
    ],
)
def test_what_would_be_found(page: str) -> None:
    found = references(page)
    assert found.found or found.tags & ACTIVE
