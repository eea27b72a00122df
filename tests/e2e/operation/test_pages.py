"""The service's pages load nothing from other hosts and link to no other hosts."""

import re
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.http.app import create_app
from boxoffice.entrypoints.http.problems.catalog import CATALOG
from boxoffice.entrypoints.settings import Settings

LOADING = frozenset(
    [
        "action",
        "background",
        "cite",
        "data",
        "formaction",
        "href",
        "manifest",
        "ping",
        "poster",
        "src",
        "srcset",
        "xlink:href",
    ]
)
"""Attributes whose value a browser may fetch, by itself or after a click."""

SCRIPT = "81b8d2bdab4a42ab81465386441b9a0f928b68631364360f00e8cce620cc1efb"
"""The digest of Scalar's script, version 1.46.4."""

ACTIVE = frozenset({"base", "embed", "iframe", "img", "link", "object", "script", "video", "audio", "source", "track"})


class References(HTMLParser):
    """The references of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()
        self._is_style = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._is_style = tag == "style"
        for name, value in attrs:
            if name in LOADING:
                self.found.append(value or "")
            elif name == "style" or name.startswith("on") or name == "http-equiv":
                self.found.append(f"{name}: {value}")

    def handle_data(self, data: str) -> None:
        if self._is_style:
            self.found += re.findall(r"url\([^)]*\)|@import[^;]*|@font-face[^}]*", data)


def http_client() -> httpx.AsyncClient:
    app: Any = create_app(make_container(Settings(database_url="memory://")))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://boxoffice")


async def pages() -> dict[str, httpx.Response]:
    paths = ["/docs", "/problems", *(f"/problems/{code}" for code in CATALOG)]
    async with http_client() as client:
        return {path: await client.get(path, headers={"Accept": "text/html"}) for path in paths}


async def test_no_page_loads_or_links_to_another_host() -> None:
    served = await pages()
    assert len(served) > 20
    for path, answer in served.items():
        assert answer.headers["content-type"].startswith("text/html"), path
        page = References(answer.text)
        assert page.tags & ACTIVE == ({"script", "link"} if path == "/docs" else set()), path
        for found in page.found:
            assert re.fullmatch(r"/problems(/[a-z-]+)?|/openapi\.json|/docs/scalar\.js|data:,", found), (
                f"{path}: {found}"
            )
            if found.startswith("/problems"):
                assert found in served
        assert not re.findall(r"(?:https?:)?//[\w.-]+", answer.text), path


async def test_the_policy_allows_only_the_service_itself() -> None:
    """Whatever the script of the reference tries to load."""
    for path, answer in (await pages()).items():
        directives = [each.split() for each in answer.headers["content-security-policy"].split(";")]
        policy = {name: sources for name, *sources in directives}
        assert policy["default-src"] == ["'none'"], path
        assert {"base-uri", "form-action", "frame-ancestors"} <= policy.keys(), path
        own = {"'self'", "'none'", "data:", *(["'unsafe-inline'"] if path == "/docs" else [])}
        assert all(set(sources) <= own for sources in policy.values()), path
        assert policy.get("script-src", ["'none'"]) == (["'self'"] if path == "/docs" else ["'none'"])
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_script_of_the_reference_is_served_unchanged() -> None:
    async with http_client() as client:
        plain = await client.get("/docs/scalar.js", headers={"Accept-Encoding": "identity"})
        packed = await client.get("/docs/scalar.js", headers={"Accept-Encoding": "gzip, br"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    # `sha256sum` of the file in the npm package.
    assert sha256(plain.content).hexdigest() == SCRIPT


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
def test_references_are_found(page: str) -> None:
    found = References(page)
    assert found.found or found.tags & ACTIVE
