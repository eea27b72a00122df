"""Print the licences of all that is shipped, as docs/licences.md has them: `make licences`.

Names and versions are those of the lock files, licences what the installed distributions say of themselves.
"""

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[1]
SHIPPED: Final = ("requirements.txt", "requirements-otel.txt", "requirements-sentry.txt", "requirements-stripe.txt")

HEAD: Final = """\
# Licences

What Boxoffice is shipped with, the libraries of its extras included, and the licence that each says it is under.
Made by `make licences` from the lock files; a test compares the two. Boxoffice itself is under the
[MIT licence](../LICENSE).

| library | licence |
|---|---|
"""

TAIL: Final = """
The page at `/docs` is drawn by Scalar's API reference 1.46.4 (MIT), the file `dist/browser/standalone.js` of the npm
package `@scalar/api-reference`, compressed and otherwise as it is published; its licence lies beside it in
`src/entrypoints/http/reference/static/scalar.LICENSE`.
"""

_NAMES: Final = {
    "Apache Software License": "Apache-2.0",
    "Apache 2": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "BSD License": "BSD",
    "MIT License": "MIT",
    "MIT license": "MIT",
    "The MIT License": "MIT",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "Python Software Foundation License": "PSF-2.0",
}


def shipped() -> list[Requirement]:
    """What the lock files of production pin and this platform installs, each once, by its name."""
    found: dict[str, Requirement] = {}
    for name in SHIPPED:
        text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
        for line in text.splitlines():
            if line and not line.lstrip().startswith("#"):
                requirement = Requirement(line.partition(" --hash")[0].strip())
                if requirement.marker is None or requirement.marker.evaluate():
                    found[canonicalize_name(requirement.name)] = requirement
    return [found[name] for name in sorted(found)]


def licence(name: str) -> str:
    """What an installed distribution says: the expression, else the classifiers, else a short text.

    Raises: PackageNotFoundError, LookupError when it says nothing.
    """
    said = metadata(name)
    if expression := said.get("License-Expression"):
        return expression
    classifiers = said.get_all("Classifier", [])
    classified = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::")]
    named = [each for each in classified if each != "OSI Approved"]
    # Some put the whole text there, which begins with its name.
    if not named and (first := said.get("License", "").strip().partition("\n")[0].strip()):
        named = [first]
    if not named:
        raise LookupError(f"{name} does not say its licence")
    return " OR ".join(_NAMES.get(each, each) for each in named)


def page() -> Iterator[str]:
    """The lines of docs/licences.md. Raises: PackageNotFoundError, LookupError."""
    yield from HEAD.splitlines()
    for requirement in shipped():
        yield f"| {requirement.name} | {licence(requirement.name)} |"
    yield from TAIL.splitlines()


if __name__ == "__main__":
    try:
        sys.stdout.write("".join(f"{line}\n" for line in page()))
    except (PackageNotFoundError, LookupError) as error:
        sys.exit(f"licences: {error}")
