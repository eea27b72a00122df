"""A group of three MySQL servers on loopback, whose members can be stopped, killed, paused and taken out."""

import secrets
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Self
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests import mariadb
from tests.databases import migrated
from tests.faults import cluster
from tests.faults.cluster import DATABASE
from tests.faults.service import free_port
from tests.mysql import MySQL

FORCE: Final = "SET GLOBAL group_replication_force_members = '{addresses}'"
"""The statement that makes the members at these addresses the group, without the others' consent."""

_MEMBERS: Final = "SELECT member_port, member_state, member_role FROM performance_schema.replication_group_members"


class Member(cluster.Node, MySQL):
    """One server of a group, which can start again after any end and catch up."""

    waits = "SET SESSION group_replication_consistency = 'BEFORE'"

    def __init__(self, template_directory: Path, *, password: str, group: str, peers: Sequence["Member"]) -> None:
        super().__init__(template_directory, password=password)
        # The server makes itself another identity than that of its template.
        (self.data / "auto.cnf").unlink(missing_ok=True)
        # The user comes with the group's data. A server outside the group must not take writes.
        self.init_file.write_text(
            f"SET SESSION sql_log_bin = OFF;\n{self.init_file.read_text()}SET GLOBAL super_read_only = ON;\n"
        )
        self.port = free_port()
        self._login = f"USER = 'boxoffice', PASSWORD = '{password}'"
        self._group = group
        self._peers = peers
        self.has_several_primaries = False

    @property
    def address(self) -> str:
        """Return the address in the group, which is the server's own with the communication stack MYSQL."""
        return f"127.0.0.1:{self.port}"

    def command(self, port: int) -> list[str]:
        """Return the command line with the options of the group."""
        return [
            *super().command(port),
            f"--server-id={self.port}",
            "--gtid-mode=ON",
            "--enforce-gtid-consistency=ON",
            "--log-bin=binlog",
            "--relay-log=relay",
            "--performance-schema=ON",
            "--report-host=127.0.0.1",
            "--plugin-load-add=group_replication.so",
            "--group-replication-communication-stack=MYSQL",
            f"--group-replication-group-name={self._group}",
            f"--group-replication-local-address={self.address}",
            f"--group-replication-group-seeds={','.join(each.address for each in self._peers)}",
            f"--group-replication-single-primary-mode={'OFF' if self.has_several_primaries else 'ON'}",
            f"--group-replication-enforce-update-everywhere-checks={'ON' if self.has_several_primaries else 'OFF'}",
            "--group-replication-recovery-get-public-key=ON",
            # Silent members are expelled after five seconds, at which they are suspected.
            "--group-replication-member-expel-timeout=0",
            # The tests join a server themselves.
            "--group-replication-start-on-boot=OFF",
        ]

    def found_group(self) -> None:
        """Become the first member of a new group."""
        mariadb.execute(self.admin_url, "SET GLOBAL group_replication_bootstrap_group = ON")
        self.join()
        mariadb.execute(self.admin_url, "SET GLOBAL group_replication_bootstrap_group = OFF")

    def join(self) -> None:
        """Join the group and catch up."""
        mariadb.execute(self.admin_url, f"START GROUP_REPLICATION {self._login}")

    def leave(self) -> None:
        """Leave the group, and keep running."""
        mariadb.execute(self.admin_url, "STOP GROUP_REPLICATION")

    def stop(self) -> None:
        """Leave the group and end, as an operator does. Under load, SIGTERM alone may take a minute."""
        self.leave()
        super().stop()

    def view(self) -> dict[int, tuple[str, str]]:
        """Return state and role of each member, by port, as this one sees them."""
        return {int(str(port)): (str(state), str(role)) for port, state, role in self._ask(_MEMBERS)}

    def _ask(self, statement: str) -> list[tuple[object, ...]]:
        return mariadb.execute(self.admin_url, statement)

    def has_no_majority(self) -> bool:
        """Return whether the member has noticed that most others do not answer."""
        states = [state for state, _ in self.view().values()]
        return 2 * states.count("UNREACHABLE") >= len(states)

    def become_primary(self) -> None:
        """Become the primary of the group, as an operator decides before maintenance."""
        ((identity,),) = self._ask("SELECT @@server_uuid")
        self._ask(f"SELECT group_replication_set_as_primary('{identity}')")

    def set_weight(self, weight: int) -> None:
        """Of the members that remain, the one with the highest weight becomes the primary."""
        self._ask(f"SET GLOBAL group_replication_member_weight = {weight}")

    def force(self, *members: "Member") -> None:
        """Make these members the group, after its majority was lost."""
        addresses = ",".join(each.address for each in members)
        mariadb.execute(self.admin_url, FORCE.format(addresses=addresses), FORCE.format(addresses=""))

    @asynccontextmanager
    async def lagging(self) -> AsyncIterator[None]:
        """Apply nothing that other members commit until the context ends."""
        engine = create_async_engine(self.admin_url, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            # A lock that conflicts with every COMMIT. The group's applier rolls back transactions with row locks.
            await connection.execute(text("FLUSH TABLES WITH READ LOCK"))
            yield
            await connection.execute(text("UNLOCK TABLES"))
        await engine.dispose()

    def conflicts(self) -> int:
        """Return how many transactions of the group failed certification, as this member counts them."""
        statistics = "SELECT SUM(count_conflicts_detected) FROM performance_schema.replication_group_member_stats"
        ((number,),) = self._ask(f"{statistics} WHERE member_id = @@server_uuid")
        return int(str(number or 0))


class Cluster(cluster.Cluster[Member]):
    """A group with one primary or with several."""

    def __init__(self, template_directory: Path) -> None:
        super().__init__()
        self._template = template_directory

    def start(self) -> None:
        """See `cluster.Cluster`."""
        password, group = secrets.token_hex(16), str(uuid4())
        with MySQL(self._template, password=password) as first:
            mariadb.execute(first.admin_url, f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
            migrated(f"{first.admin_url}/{DATABASE}")
            first.stop()
            # All members start with a copy of its data, so only later writes have to be transferred.
            for _ in range(3):
                self.nodes.append(Member(first.data, password=password, group=group, peers=self.nodes))
        self._spawn(self.nodes)
        self.nodes[0].found_group()
        for member in self.nodes[1:]:
            member.join()
        self.wait_until_ready()

    def _spawn(self, members: Sequence[Member]) -> None:
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(Member.start, members))

    def set_mode(self, *, has_several_primaries: bool) -> Self:
        """Change the mode while the group runs."""
        mode = "multi" if has_several_primaries else "single"
        mariadb.execute(self.nodes[0].admin_url, f"SELECT group_replication_switch_to_{mode}_primary_mode()")
        for member in self.nodes:
            member.has_several_primaries = has_several_primaries
        return self

    def mend(self) -> None:
        """See `cluster.Cluster`."""
        for member in self.nodes:
            if member.is_running:
                member.resume()
            else:
                member.kill()
        self._spawn([member for member in self.nodes if not member.is_running])
        self.wait_until(self._have_rejoined)

    def _have_rejoined(self) -> bool:
        """Bring members back that have learnt that they are outside, and return whether all are in the group."""
        for member in self.nodes:
            state, _ = member.view().get(member.port, ("OFFLINE", ""))
            if state == "ERROR":
                member.leave()
            if state in ("ERROR", "OFFLINE"):
                member.join()
        return self.are_ready(self.nodes)

    def are_ready(self, nodes: Sequence[Member]) -> bool:
        """See `cluster.Cluster`."""
        together = {member.port: "ONLINE" for member in nodes}
        return all({port: state for port, (state, _) in member.view().items()} == together for member in nodes)

    def writers(self, nodes: Sequence[Member]) -> list[Member]:
        """See `cluster.Cluster`."""
        return [member for member in nodes if member.view().get(member.port) == ("ONLINE", "PRIMARY")]

    def conflicts(self) -> int:
        """See `cluster.Cluster`."""
        return self.nodes[0].conflicts()
