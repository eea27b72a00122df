"""The commands of strangers: check receipts and public logs with nothing but what is given."""

import argparse
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

from ..checkers.log_reader import ReplayedLog, replay_log
from ..checkers.receipt import CheckedReceipt, check_receipt, read_key
from ..checkers.refused import Refused
from ..checkers.sources import source_of
from ..settings import Settings

MOST_RECEIPT_BYTES: Final = 256 * 1024


def add_checks(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands."""
    checking = commands.add_parser(
        "check-receipt",
        help="check a receipt of a booking",
        description="Check that a receipt's entry is in the event's log that the key has signed, and what the entry "
        "hides. Needs no service, no settings and no database.",
    )
    checking.add_argument("receipt", metavar="FILE", type=Path, help="the receipt, a .tlog-proof file")
    _add_key(checking)
    checking.set_defaults(command=_check_receipt, needs_settings=False)

    replaying = commands.add_parser(
        "replay-log",
        help="replay an event's public log and say whether its line was kept",
        description="Read an event's public log, check it against its signed checkpoint, and replay the line: whether "
        "the declared policy was kept, nobody got tickets twice, and no ticket idled. Needs no settings and no "
        "database.",
    )
    replaying.add_argument("log", metavar="URL", help="https://…/events/{id}/log, or a folder with a copy of it")
    replaying.add_argument(
        "--receipt",
        metavar="FILE",
        dest="receipts",
        type=Path,
        action="append",
        default=[],
        help="a receipt of this log: it has to be true of it still, so the log was neither rewritten nor shrunk",
    )
    _add_key(replaying)
    replaying.set_defaults(command=_replay_log, needs_settings=False)


def _add_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--key", metavar="KEY", required=True, type=_key, help="the log key's text, as the service's /log/key says it"
    )


def _key(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("must be the text of a key")
    return text


def _check_receipt(_: Settings, options: argparse.Namespace) -> int:
    try:
        _print_receipt(check_receipt(_read(options.receipt), read_key(options.key)))
    except Refused as refused:
        return _refuse(refused)
    return 0


def _replay_log(_: Settings, options: argparse.Namespace) -> int:
    try:
        key = read_key(options.key)
        receipts = [check_receipt(_read(each), key) for each in options.receipts]
        with closing(source_of(options.log)) as source:
            return _print_log(replay_log(source, key, receipts))
    except Refused as refused:
        return _refuse(refused)


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(MOST_RECEIPT_BYTES + 1).decode()
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeError:
        raise Refused(f"{file} is no text") from None


def _refuse(refused: Refused) -> int:
    print(f"boxoffice: {_shown(refused)}", file=sys.stderr)
    return 1


def _print_receipt(receipt: CheckedReceipt) -> None:
    entry, checkpoint = receipt.entry, receipt.checkpoint
    print(f"The receipt holds: the log of event {receipt.event_id} has this entry.")
    print(f"Entry {entry.seq} of {checkpoint.size}: {_shown(entry.kind)}, at {_shown(entry.at)}")
    for name, value in (
        ("ticket type", entry.ticket_type_id),
        ("tickets", entry.quantity),
        ("queue number", entry.queue_number),
        ("status", entry.status),
        ("caused by entry", entry.caused_by),
        ("bookings passed over", entry.passed_over),
    ):
        if value is not None:
            print(f"  {name}: {_shown(value)}")
    if receipt.private is None:
        print("It does not open what the entry hides.")
    else:
        print("It opens what the entry hides:")
        for name, hidden in receipt.private.items():
            print(f"  {_shown(name)}: {_shown(hidden)}")


def _print_log(log: ReplayedLog) -> int:
    report, checkpoint = log.report, log.checkpoint
    print(f"The log of event {log.event_id} has {checkpoint.size} entries, which are those that the key has signed.")
    print(f"Policy: {'; then '.join(map(_shown, report.policies)) or 'none'}")
    print(
        f"{report.joined} bookings joined the waiting list and {report.promoted} were promoted; "
        f"{report.overtakes} overtook, and {report.granted} tickets were given away."
    )
    for caveat in report.caveats:
        print(f"Not proved: {_shown(caveat)}")
    if not report.findings:
        print("The declared policy was kept.")
        return 0
    for each in report.findings:
        print(f"NOT KEPT ({each.code}), entry {each.seq}: {_shown(each.sentence)}")
    return 1


def _shown(value: object) -> str:
    """Return a stranger's text so that it cannot act on a terminal."""
    return "".join(each if each.isprintable() else "?" for each in str(value))[:500]
