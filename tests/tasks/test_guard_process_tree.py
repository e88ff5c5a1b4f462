"""Whose a process is, on drawn trees; and the small pure parts of the guard."""

import os
import subprocess
from collections.abc import Mapping

import pytest
import servers

from tasks.guard.accounting import Usage, next_poll_s
from tasks.guard.attempt import Attempt, State
from tasks.guard.leftovers import is_alive, is_dead_folder, own_mark, tmpdir_name
from tasks.guard.process import Process, parse_stat, read_environ, read_process
from tasks.guard.process_tree import ProcessTree
from tasks.guard.processors import Shares, in_order, parse_list
from tasks.guard.protocol import Ending, Entry, Lines, StartOrder, encode

GUARD = 100


class Drawing:
    """Processes by pid, as (ppid, session)."""

    def __init__(self) -> None:
        self.processes: dict[int, Process] = {}
        self.environs: dict[int, Mapping[bytes, bytes]] = {}
        self.read: list[int] = []
        self.tree = ProcessTree(
            guard_pid=GUARD, read=self._read, pids=lambda: set(self.processes), environ=lambda pid: self.environs.get(pid, {})
        )
        self.add(1, 0, 1)
        self.add(50, 1, 50)
        self.add(GUARD, 50, 50)

    def add(self, pid: int, ppid: int, session: int, *, start: int = 0, state: str = "S", token: str | None = None) -> None:
        self.processes[pid] = Process(pid, ppid, session, start or pid, state, 1, 1000)
        self.environs[pid] = {b"A": b"1"} if token is None else {b"NUNATAK_TOKEN": token.encode()}

    def _read(self, pid: int) -> Process | None:
        self.read.append(pid)
        return self.processes.get(pid)

    def of(self, token: str, *, fresh: bool = False) -> list[list[int]]:
        return [[p.pid for p in level] for level in self.tree.look(fresh=fresh).of(token)]


def two_jobfiles() -> Drawing:
    drawing = Drawing()
    for pid, token in ((200, "A"), (300, "B")):
        drawing.add(pid, GUARD, pid)
        drawing.tree.add_root(pid, token)
        drawing.add(pid + 1, pid, pid)
        drawing.add(pid + 2, pid + 1, pid + 2)
    return drawing


def test_descendants_come_parents_before_children_whatever_their_session() -> None:
    assert two_jobfiles().of("A") == [[200], [201], [202]]


def test_an_orphan_is_known_by_its_session() -> None:
    drawing = two_jobfiles()
    drawing.add(210, GUARD, 200)
    assert drawing.of("A") == [[200], [201, 210], [202]]


def test_an_orphan_in_a_session_of_its_own_is_known_by_its_token_and_so_are_its_children() -> None:
    drawing = two_jobfiles()
    drawing.add(210, GUARD, 210, token="B")
    drawing.add(211, 210, 211)
    assert drawing.of("B") == [[300], [301, 210], [302, 211]]


def test_an_orphan_without_a_mark_is_known_if_it_was_seen_before() -> None:
    drawing = two_jobfiles()
    drawing.add(210, 200, 210)
    drawing.of("A")
    drawing.add(210, GUARD, 210)
    assert [210 in level for level in drawing.of("A")] == [False, True, False]


def test_a_number_that_was_used_again_is_not_taken_for_what_was_seen_before() -> None:
    drawing = two_jobfiles()
    drawing.add(210, 200, 210)
    drawing.of("A")
    drawing.add(210, GUARD, 210, start=999)
    sighting = drawing.tree.look()
    assert [p.pid for p in sighting.strays] == [210]


def test_an_orphan_that_nobody_knows_is_the_only_attempt_s_or_a_stray() -> None:
    drawing = two_jobfiles()
    drawing.add(210, GUARD, 210)
    assert [p.pid for p in drawing.tree.look().strays] == [210]
    drawing.tree.drop(300)
    assert 210 in drawing.of("A")[1]


def test_what_carries_the_token_of_an_ended_attempt_is_left_over() -> None:
    drawing = two_jobfiles()
    drawing.add(210, GUARD, 210, token="gone")
    assert [p.pid for p in drawing.tree.look().left_over] == [210]


def test_the_guard_s_own_children_and_theirs_are_nobody_s() -> None:
    drawing = two_jobfiles()
    drawing.add(400, GUARD, 50, token="A")
    drawing.add(401, 400, 50, token="A")
    drawing.tree.helpers.add(400)
    sighting = drawing.tree.look()
    assert (sighting.strays, sighting.left_over) == ((), ())
    assert 400 not in [p.pid for level in sighting.of("A") for p in level]


def test_other_people_s_processes_are_read_once_and_again_when_asked_for() -> None:
    drawing = two_jobfiles()
    drawing.tree.look()
    drawing.read.clear()
    drawing.tree.look()
    assert set(drawing.read) == {200, 201, 202, 300, 301, 302}
    drawing.tree.look(fresh=True)
    assert {1, 50, GUARD} <= set(drawing.read)


def test_somebody_else_s_process_with_our_token_is_not_ours() -> None:
    drawing = two_jobfiles()
    drawing.add(60, 1, 60, token="A")
    assert drawing.of("A") == [[200], [201], [202]]


def test_a_process_whose_parent_goes_while_we_look_is_read_again() -> None:
    drawing = two_jobfiles()
    child = drawing.processes[202]
    del drawing.processes[201]
    answers = iter([child, child._replace(ppid=GUARD)])
    read = drawing.tree.read
    drawing.tree.read = lambda pid: next(answers) if pid == 202 else read(pid)
    drawing.tree.sessions[202] = "A"
    assert drawing.of("A") == [[200], [202]]


def test_the_dead_are_not_counted_but_a_process_whose_threads_live_on_is() -> None:
    drawing = two_jobfiles()
    drawing.add(201, 200, 200, state="Z")
    assert drawing.of("A") == [[200], [], [202]]
    drawing.processes[201] = drawing.processes[201]._replace(threads=2)
    assert drawing.of("A") == [[200], [201], [202]]


def test_a_zombie_is_known_by_what_it_was_or_by_its_session() -> None:
    drawing = two_jobfiles()
    drawing.tree.look()
    assert drawing.tree.owner_of_zombie(drawing.processes[302]) == "B"
    assert drawing.tree.owner_of_zombie(Process(999, GUARD, 200, 5, "Z", 1, 0)) == "A"
    assert drawing.tree.owner_of_zombie(Process(999, GUARD, 999, 5, "Z", 1, 0)) is None


def test_a_name_with_blanks_and_brackets_does_not_shift_the_fields() -> None:
    raw = b"7 (a) b (c) R 3 7 9 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 4 0 12345 1000 25 18446744073709551615 1"
    assert parse_stat(raw) == Process(7, 3, 9, 12345, "R", 4, 25 * os.sysconf("SC_PAGE_SIZE"))


def test_this_process_is_found_in_proc() -> None:
    process = read_process(os.getpid())
    assert process is not None
    assert process.ppid == os.getppid()
    assert read_process(2**30) is None
    assert read_environ(2**30) == {}
    # Not this process's own: a test runner may have written its title over it.
    with subprocess.Popen(["/bin/sleep", "60"], env={"WHO": "me"}) as child:
        # For a moment after its exec the kernel shows none.
        servers.wait_until(lambda: read_environ(child.pid) == {b"WHO": b"me"}, 10, "its environment")
        child.kill()


def test_a_guard_s_mark_tells_whether_it_lives() -> None:
    mark = own_mark()
    assert is_alive(mark)
    assert not is_alive(mark + "1")
    assert not is_alive("1073741824:1")
    assert is_alive("not understood"), "and so not ended"


def test_only_a_dead_guard_s_folders_are_cleared_away(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("root")
    dead = root / tmpdir_name("1073741824:1")
    for folder in (dead, root / tmpdir_name(own_mark()), root / "nunatak.1.2.3", root / "nunatak.1.1073741824.1.ab", root / "mine"):
        folder.mkdir()
    assert [f for f in root.iterdir() if is_dead_folder(str(f))] == [dead]


def test_peak_memory_is_the_larger_of_what_was_seen_and_the_largest_process() -> None:
    class Rusage:
        ru_utime, ru_stime, ru_maxrss = 1.0, 0.5, 2048

    usage = Usage()
    usage.see(1 << 20)
    usage.add_reaped(Rusage())
    assert (usage.cpu_s, usage.max_rss_mb) == (1.5, 2.0)
    usage.see(5 << 20)
    assert usage.max_rss_mb == 5.0


def test_looking_at_memory_never_takes_more_than_its_share_of_a_processor() -> None:
    assert next_poll_s(0.0005) == 1.0
    assert next_poll_s(0.01) == 5.0
    assert next_poll_s(1.0) == 15.0


def test_processors_are_shared_out_by_memory_node_and_whole_cores() -> None:
    order = in_order({0, 1, 2, 3, 4, 5, 6, 7}, {c: c // 2 % 2 for c in range(8)}, {c: c % 4 for c in range(8)})
    assert order == (0, 4, 1, 5, 2, 6, 3, 7)
    shares = Shares(order)
    first, second = shares.take(0.5), shares.take(0.5)
    assert [set(first), set(second)] == [{0, 4, 1, 5}, {2, 6, 3, 7}]
    shares.give_back(first)
    assert [shares.take(0.25), shares.take(0.25)] == [{0, 4}, {1, 5}]
    assert shares.size(0.001) == 1
    assert shares.size(1.0) == 8
    assert parse_list("0-2,8,10-11\n") == [0, 1, 2, 8, 10, 11]


def test_messages_survive_any_cut_and_nonsense_is_skipped() -> None:
    stream = encode("a", {"path": os.fsdecode(b"\xff")}) + b"nonsense\n[]\n" + encode("b")
    lines = Lines()
    found = [message for byte in stream for message in lines.feed(bytes([byte]))]
    assert found == [{"kind": "a", "path": os.fsdecode(b"\xff")}, {"kind": "b"}]


def an_attempt() -> Attempt:
    order = StartOrder(token="t", id="1", attempt=1, argv=("x",), cwd="/", stdout="o", stderr="e")
    return Attempt(order=order, slot=0, cpus=frozenset(), tmpdir="/t", pid=5, told_fd=None, deadline=None)


def test_values_come_back_from_messages_as_they_went() -> None:
    attempt = an_attempt()
    assert StartOrder.from_message(attempt.order.to_message()) == attempt.order
    attempt.status = 256
    attempt.conclude()
    assert attempt.ending is not None
    assert Ending.from_message(attempt.ending.to_message()) == attempt.ending
    attempt.state = State.ENDED
    assert Entry.from_message(attempt.entry().to_message()) == attempt.entry()


def test_an_attempt_that_was_never_reaped_counts_as_killed() -> None:
    attempt = an_attempt()
    attempt.conclude()
    assert attempt.ending is not None
    assert (attempt.ending.exit_code, attempt.ending.signal) == (None, 9)


def test_an_ended_attempt_cannot_run_again() -> None:
    attempt = an_attempt()
    attempt.state = State.ENDED
    with pytest.raises(ValueError, match="from ended to running"):
        attempt.move(State.RUNNING)
