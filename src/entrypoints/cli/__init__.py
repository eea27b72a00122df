"""The command line: the service, its upkeep, and what strangers check: see `boxoffice --help`."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

from ...application.ports.errors import Unavailable
from ...domain.refusals import InvalidRequest, Refusal, invalid
from ...domain.user import Role
from ...version import VERSION
from ..logs import set_up_logs
from ..secret_strength import new_secret
from ..settings import MOST_PORT, MOST_WORKERS, Settings, SettingsError, integer
from .check import add_checks
from .operate import (
    disable_user,
    enable_user,
    grant,
    hold_draw,
    list_due_payments,
    list_users,
    make_reset_link,
    mark_verified,
    migrate,
    sweep,
    verify,
)

DONE = 0
FAILED = 1
WRONG_USE = 2

SHELLS = ("bash", "zsh", "fish")

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns: 0; 1 when it failed; 2 on wrong usage, such as an invalid setting.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_usage(sys.stderr)
        return WRONG_USE
    try:
        return _run(options)
    except KeyboardInterrupt:
        return _fail(FAILED, "interrupted")
    except Exception:  # noqa: BLE001 - the outermost handler
        _log.exception("Unhandled exception")
    return FAILED


def _run(options: argparse.Namespace) -> int:
    """Run the command, and print an expected error as a sentence without a traceback."""
    try:
        # A command without settings must work even if they are invalid.
        settings = Settings.load() if options.needs_settings else Settings()
        set_up_logs(settings)
        for name in settings.unknown:
            _log.warning("%s is not a setting of Boxoffice and is ignored", name)
        command: Callable[[Settings, argparse.Namespace], int] = options.command
        return command(settings, options)
    except SettingsError as error:
        return _fail(WRONG_USE, *error.problems)
    except Refusal as refusal:
        return _fail(WRONG_USE if isinstance(refusal, InvalidRequest) else FAILED, refusal.detail)
    except Unavailable as failure:
        return _fail(FAILED, str(failure))


def _fail(code: int, *sentences: str) -> int:
    for sentence in sentences:
        print(f"boxoffice: {sentence}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "boxoffice",
        description="Event ticket booking that never oversells. Settings come from the environment or .env.",
        epilog="Exit codes: 0: success; 1: failure, or a broken promise; 2: wrong usage.",
    )
    parser.add_argument("--version", action="version", version=f"boxoffice {VERSION}")
    parser.set_defaults(command=None, needs_settings=True)
    commands = parser.add_subparsers(metavar="command", title="commands")

    serving = commands.add_parser("serve", help="serve the REST API", description="Serve the REST API.")
    serving.add_argument("--host", help="address to listen on (BOXOFFICE_HOST, else 127.0.0.1)")
    serving.add_argument(
        "--port", type=_integer(0, MOST_PORT), help="port; 0: any free port (BOXOFFICE_PORT, else 8000)"
    )
    serving.add_argument("--workers", type=_integer(1, MOST_WORKERS), help="processes (BOXOFFICE_WORKERS, else 1)")
    serving.set_defaults(command=_serve)

    migrating = commands.add_parser(
        "migrate",
        help="bring the database's schema up to date",
        description="Bring the database's schema up to date. Safe to run twice and in parallel.",
    )
    migrating.add_argument(
        "--drop-address",
        metavar="ID",
        type=_id,
        action="append",
        default=[],
        help="take the e-mail address from this account, where several have spellings of the same one; may be repeated",
    )
    migrating.set_defaults(command=lambda settings, options: migrate(settings, options.drop_address))

    granting = commands.add_parser("grant", help="grant a role", description="Grant a role to an account.")
    granting.add_argument("account", metavar="ACCOUNT", help="the account's e-mail address or id")
    granting.add_argument("role", metavar="ROLE", type=_role, help=", ".join(Role))
    granting.set_defaults(command=lambda settings, options: grant(settings, options.account, options.role))

    _add_user(commands)
    _add_payments(commands)

    sweeping = commands.add_parser(
        "sweep",
        help="expire lapsed holds, resolve open payments and send due refunds",
        description="Do once what `boxoffice serve` does in the background: expire lapsed holds, ask the payment "
        "provider about payments with an open outcome, send due refunds, let waiting bookings follow whether their "
        "accounts are disabled, delete old stored responses.",
    )
    _add_json(sweeping, "print the result as one JSON object")
    sweeping.set_defaults(command=lambda settings, options: sweep(settings, as_json=options.json))

    verifying = commands.add_parser(
        "verify",
        help="check the promises over the whole database",
        description="Check the promises over the whole database, beside live traffic, and print each result.",
    )
    _add_json(verifying, "print the result as one JSON object")
    verifying.add_argument(
        "--chances", action="store_true", help="also print how often the chances of waiting bookings were right"
    )
    verifying.set_defaults(
        command=lambda settings, options: verify(settings, as_json=options.json, shows_chances=options.chances)
    )
    _add_draw(commands)
    _add_check_draw(commands)
    _add_secret(commands)
    _add_completion(commands)
    _add_simulate(commands)
    add_checks(commands)
    return parser


def _add_json(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--json", action="store_true", help=text)


def _add_completion(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    completing = commands.add_parser(
        "completion",
        help="print a completion script for a shell",
        description="Print a completion script for a shell. "
        "For bash: boxoffice completion bash > ~/.local/share/bash-completion/completions/boxoffice",
    )
    completing.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    completing.set_defaults(command=_print_completion, needs_settings=False)


def _print_completion(_: Settings, options: argparse.Namespace) -> int:
    import shtab  # noqa: PLC0415 - only this command needs it

    print(shtab.complete(_parser(), options.shell))
    return DONE


def _add_user(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    using = commands.add_parser(
        "user", help="list, disable, enable, verify and recover accounts", description="Manage accounts."
    )
    actions = using.add_subparsers(metavar="action", title="actions", required=True)

    listing = actions.add_parser(
        "list",
        help="print every account",
        description="Print every account: e-mail address (- for none), role, enabled or disabled, creation time.",
    )
    _add_json(listing, "print each account as a JSON object on its own line")
    listing.set_defaults(command=lambda settings, options: list_users(settings, as_json=options.json))

    disabling = actions.add_parser(
        "disable",
        help="disable an account",
        description="Disable an account: its user cannot sign in, and every session ends within 5 seconds. "
        "Its waiting bookings are passed over until it is enabled; its other bookings and its events stay unchanged.",
    )
    disabling.add_argument("account", metavar="ACCOUNT", help="the account's e-mail address or id")
    disabling.set_defaults(command=lambda settings, options: disable_user(settings, options.account))

    enabling = actions.add_parser(
        "enable",
        help="enable a disabled account",
        description="Enable a disabled account. Its user has to sign in again; its waiting bookings take their places "
        "in the waiting lists again.",
    )
    enabling.add_argument("account", metavar="ACCOUNT", help="the account's e-mail address or id")
    enabling.set_defaults(command=lambda settings, options: enable_user(settings, options.account))

    marking = actions.add_parser(
        "verify",
        help="mark an e-mail address as verified",
        description="Mark the e-mail address of an account as verified, without a mail: its user gets mails about "
        "bookings from now on, and no other account can take the address.",
    )
    whose = marking.add_mutually_exclusive_group(required=True)
    whose.add_argument("email", metavar="EMAIL", nargs="?", help="the account's e-mail address")
    whose.add_argument("--all", action="store_true", help="every account with an address that mail can reach")
    marking.set_defaults(command=lambda settings, options: mark_verified(settings, options.email))

    resetting = actions.add_parser(
        "reset-link",
        help="print a link that sets a new password",
        description="Print a link that sets a new password, for a user who forgot theirs, and verifies the address. It "
        "works once, for an hour. Give it to nobody else.",
    )
    resetting.add_argument("email", metavar="EMAIL", help="the account's e-mail address")
    resetting.set_defaults(command=lambda settings, options: make_reset_link(settings, options.email))


def _add_payments(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    using = commands.add_parser(
        "payments", help="list payments that need a person", description="Look after charges and refunds."
    )
    actions = using.add_subparsers(metavar="action", title="actions", required=True)

    listing = actions.add_parser(
        "due",
        help="print the payments that need a person",
        description="Print the payments that need a person: why (cash: to be handed over; refund_failed: to be paid "
        "another way; disputed; pending: for over an hour), booking, payment, amount in minor units, since when.",
    )
    _add_json(listing, "print each payment as a JSON object on its own line")
    listing.set_defaults(command=lambda settings, options: list_due_payments(settings, as_json=options.json))


def _add_draw(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    drawing = commands.add_parser(
        "draw",
        help="hold the draw of an event",
        description="Hold the draw of an event after its closing time, and serve its waiting lists in the drawn order. "
        "A draw is held once; repeating the command finishes one that was interrupted.",
    )
    drawing.add_argument("event", metavar="EVENT", type=_id, help="the event's id")
    drawing.add_argument(
        "--beacon", metavar="FILE", type=Path, help="the round of drand as a relay answers it, instead of fetching it"
    )
    drawing.set_defaults(command=lambda settings, options: hold_draw(settings, options.event, options.beacon))


def _add_check_draw(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    checking = commands.add_parser(
        "check-draw",
        help="recompute a draw",
        description="Recompute a draw from what the service publishes of it: its source of randomness, the root over "
        "its entries, and every rank and place. Reads no settings and asks nobody.",
    )
    checking.add_argument("file", metavar="FILE", type=Path, help="the answer to GET /events/{id}/draw")
    checking.set_defaults(command=_check_draw, needs_settings=False)


def _check_draw(_: Settings, options: argparse.Namespace) -> int:
    from .check_draw import check_draw_file  # noqa: PLC0415 - only this command needs it

    return check_draw_file(options.file)


def _add_secret(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    making = commands.add_parser(
        "secret",
        help="print a new secret for BOXOFFICE_JWT_SECRET",
        description="Print a new secret for BOXOFFICE_JWT_SECRET: 32 random bytes in base64url. Reads no settings.",
    )
    making.set_defaults(command=_print_secret, needs_settings=False)


def _print_secret(_: Settings, __: argparse.Namespace) -> int:
    print(new_secret())
    return DONE


def _add_simulate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    simulating = commands.add_parser(
        "simulate",
        help="check the promises in a simulation with faults",
        description="Run clients, processes and a failing database in virtual time and check every promise. The "
        "configured database is not used. A seed gives the same run on every machine.",
    )
    simulating.add_argument("--seed", type=_integer(0, 999_999_999), help="run only this seed and print a summary")
    simulating.add_argument(
        "--operations", default=200, type=_integer(1, 100_000), help="requests per seed (%(default)s)"
    )
    simulating.add_argument("--seeds", default=100, type=_integer(1, 999_999_999), help="number of seeds (%(default)s)")
    simulating.add_argument("--from", default=0, type=_integer(0, 999_999_999), dest="first", help="first seed (0)")
    simulating.add_argument(
        "--jobs", default=os.cpu_count() or 1, type=_integer(1, 1_024), help="parallel processes (%(default)s)"
    )
    simulating.add_argument(
        "--history", type=Path, help="with --seed: file for the clients' observations, as JSON lines"
    )
    simulating.set_defaults(command=_simulate)


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    # The other commands do not need the web framework, which is slow to load.
    from .serve import serve  # noqa: PLC0415

    return serve(
        settings,
        settings.host if options.host is None else options.host,
        settings.port if options.port is None else options.port,
        settings.workers if options.workers is None else options.workers,
    )


def _simulate(_: Settings, options: argparse.Namespace) -> int:
    from .simulate import simulate_one, simulate_seeds  # noqa: PLC0415 - only this command needs it

    if options.seed is not None:
        return simulate_one(options.seed, options.operations, options.history)
    if options.history is not None:
        raise invalid("needs --seed", "--history")
    return simulate_seeds(options.first, options.seeds, options.operations, options.jobs)


def _integer(least: int, most: int) -> Callable[[str], int]:
    rule = integer(least, most)

    def argument(text: str) -> int:
        try:
            return rule(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return argument


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be an id") from None


def _role(text: str) -> Role:
    try:
        return Role(text.lower())
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(Role)}") from None
