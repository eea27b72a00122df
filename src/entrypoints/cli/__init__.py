"""The command line: serve, migrate, grant, user, sweep, verify, secret, completion, simulate."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ...application.ports.errors import Unavailable
from ...domain.refusals import InvalidRequest, Refusal, invalid
from ...domain.user import Role
from ...version import VERSION
from ..logs import set_up_logs
from ..secret_strength import new_secret
from ..settings import MOST_PORT, MOST_WORKERS, Settings, SettingsError, whole
from .operate import disable_user, enable_user, grant, list_users, migrate, sweep, verify

DONE = 0
FAILED = 1
WRONG_USE = 2

SHELLS = ("bash", "zsh", "fish")

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns: 0; 1 when it did not work; 2 when it was used wrongly, with settings that cannot be for instance.
    """
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.command is None:
        parser.print_usage(sys.stderr)
        return WRONG_USE
    try:
        return _run(asked)
    except KeyboardInterrupt:
        return _say(FAILED, "interrupted")
    except Exception:  # noqa: BLE001 - the last one who can say what happened
        _log.exception("The command failed in a way that nobody foresaw")
    return FAILED


def _run(asked: argparse.Namespace) -> int:
    """Whatever can be foreseen to go wrong is a sentence that says what to do, and no traceback."""
    try:
        # A command that needs none must work where they are wrong, or not there yet.
        settings = Settings.load() if asked.needs_settings else Settings()
        set_up_logs(settings)
        for name in settings.unknown:
            _log.warning("%s is not a setting of Boxoffice and changes nothing", name)
        command: Callable[[Settings, argparse.Namespace], int] = asked.command
        return command(settings, asked)
    except SettingsError as error:
        return _say(WRONG_USE, *error.problems)
    except Refusal as refusal:
        return _say(WRONG_USE if isinstance(refusal, InvalidRequest) else FAILED, refusal.detail)
    except Unavailable as failure:
        return _say(FAILED, str(failure))


def _say(code: int, *sentences: str) -> int:
    for sentence in sentences:
        print(f"boxoffice: {sentence}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "boxoffice",
        description="Event ticket booking that never oversells. Settings come from the environment or .env.",
        epilog="Exit codes: 0; 1, it did not work, or a promise is broken; 2, wrong use.",
    )
    parser.add_argument("--version", action="version", version=f"boxoffice {VERSION}")
    parser.set_defaults(command=None, needs_settings=True)
    commands = parser.add_subparsers(metavar="command", title="commands")

    serving = commands.add_parser("serve", help="serve the REST API", description="Serve the REST API.")
    serving.add_argument("--host", help="address to listen on (BOXOFFICE_HOST, else 127.0.0.1)")
    serving.add_argument(
        "--port", type=_whole(0, MOST_PORT), help="port; 0: any that is free (BOXOFFICE_PORT, else 8000)"
    )
    serving.add_argument("--workers", type=_whole(1, MOST_WORKERS), help="processes (BOXOFFICE_WORKERS, else 1)")
    serving.set_defaults(command=_serve)

    migrating = commands.add_parser(
        "migrate",
        help="bring the database's schema up to date",
        description="Bring the database's schema up to date. Safe to run twice and at once.",
    )
    migrating.set_defaults(command=lambda settings, _: migrate(settings))

    granting = commands.add_parser("grant", help="grant a role", description="Grant a role to an account.")
    granting.add_argument("email", metavar="EMAIL", help="the account's e-mail address")
    granting.add_argument("role", metavar="ROLE", type=_role, help=", ".join(Role))
    granting.set_defaults(command=lambda settings, asked: grant(settings, asked.email, asked.role))

    _add_user(commands)

    sweeping = commands.add_parser(
        "sweep",
        help="settle lapsed holds, open payments and refunds that are due",
        description="Do at once what `boxoffice serve` does in the background: settle lapsed holds, ask the payment "
        "provider about payments whose outcome is open, give back what is owed, forget old answers.",
    )
    _add_json(sweeping, "print what was done as one JSON object")
    sweeping.set_defaults(command=lambda settings, asked: sweep(settings, as_json=asked.json))

    verifying = commands.add_parser(
        "verify",
        help="check the promises over the whole database",
        description="Check the promises over the whole database, beside live traffic, and print each.",
    )
    _add_json(verifying, "print what was found as one JSON object")
    verifying.set_defaults(command=lambda settings, asked: verify(settings, as_json=asked.json))
    _add_secret(commands)
    _add_completion(commands)
    _add_simulate(commands)
    return parser


def _add_json(parser: argparse.ArgumentParser, words: str) -> None:
    parser.add_argument("--json", action="store_true", help=words)


def _add_completion(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    completing = commands.add_parser(
        "completion",
        help="print a script that completes commands in a shell",
        description="Print a script that completes commands and options in a shell. "
        "For bash: boxoffice completion bash > ~/.local/share/bash-completion/completions/boxoffice",
    )
    completing.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    completing.set_defaults(command=_print_completion, needs_settings=False)


def _print_completion(_: Settings, asked: argparse.Namespace) -> int:
    import shtab  # noqa: PLC0415 - the other commands need nothing of it

    print(shtab.complete(_parser(), asked.shell))
    return DONE


def _add_user(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    using = commands.add_parser("user", help="list accounts, disable and enable them", description="See to accounts.")
    actions = using.add_subparsers(metavar="action", title="actions", required=True)

    listing = actions.add_parser(
        "list",
        help="print every account",
        description="Print every account: e-mail address, role, enabled or disabled, since when it is there.",
    )
    _add_json(listing, "print each account as a JSON object on a line of its own")
    listing.set_defaults(command=lambda settings, asked: list_users(settings, as_json=asked.json))

    disabling = actions.add_parser(
        "disable",
        help="shut an account",
        description="Shut an account: its user cannot sign in, and every session ends within 5 seconds. What was "
        "booked or initialized stays as it is.",
    )
    disabling.add_argument("email", metavar="EMAIL", help="the account's e-mail address")
    disabling.set_defaults(command=lambda settings, asked: disable_user(settings, asked.email))

    enabling = actions.add_parser(
        "enable", help="open an account again", description="Open an account again. Its user signs in anew."
    )
    enabling.add_argument("email", metavar="EMAIL", help="the account's e-mail address")
    enabling.set_defaults(command=lambda settings, asked: enable_user(settings, asked.email))


def _add_secret(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    making = commands.add_parser(
        "secret",
        help="print a new secret for BOXOFFICE_JWT_SECRET",
        description="Print a new secret for BOXOFFICE_JWT_SECRET: 32 random bytes in base64url. It reads no settings.",
    )
    making.set_defaults(command=_print_secret, needs_settings=False)


def _print_secret(_: Settings, __: argparse.Namespace) -> int:
    print(new_secret())
    return DONE


def _add_simulate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    simulating = commands.add_parser(
        "simulate",
        help="hold the promises through a simulation with faults",
        description="Run clients, processes and a failing database in virtual time, decided by seeds alone, and check "
        "every promise. Nothing of it touches the database of the settings. The same seed does the same, anywhere.",
    )
    simulating.add_argument("--seed", type=_whole(0, 999_999_999), help="run this one seed and print what it did")
    simulating.add_argument("--operations", default=200, type=_whole(1, 100_000), help="per seed (%(default)s)")
    simulating.add_argument("--seeds", default=100, type=_whole(1, 999_999_999), help="how many seeds (%(default)s)")
    simulating.add_argument("--from", default=0, type=_whole(0, 999_999_999), dest="first", help="the first (0)")
    simulating.add_argument("--jobs", default=os.cpu_count() or 1, type=_whole(1, 1_024), help="at once (%(default)s)")
    simulating.add_argument("--history", type=Path, help="with --seed: the file for what clients saw, as JSON lines")
    simulating.set_defaults(command=_simulate)


def _serve(settings: Settings, asked: argparse.Namespace) -> int:
    # The other commands need no web framework, and none of the time that it takes to load.
    from .serve import serve  # noqa: PLC0415

    return serve(
        settings,
        settings.host if asked.host is None else asked.host,
        settings.port if asked.port is None else asked.port,
        settings.workers if asked.workers is None else asked.workers,
    )


def _simulate(_: Settings, asked: argparse.Namespace) -> int:
    from .simulate import simulate_one, simulate_seeds  # noqa: PLC0415 - the other commands need nothing of it

    if asked.seed is not None:
        return simulate_one(asked.seed, asked.operations, asked.history)
    if asked.history is not None:
        raise invalid("needs --seed", "--history")
    return simulate_seeds(asked.first, asked.seeds, asked.operations, asked.jobs)


def _whole(least: int, most: int) -> Callable[[str], int]:
    rule = whole(least, most)

    def argument(text: str) -> int:
        try:
            return rule(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return argument


def _role(text: str) -> Role:
    try:
        return Role(text.lower())
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(Role)}") from None
