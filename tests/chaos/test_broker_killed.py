"""The broker is killed while jobfiles run: they run on, and their ends are recorded once somebody has brought it back."""

import os
import signal

import servers


def _start_six(machine, wait_until):
    for name in "ABCDEF":
        machine.write_ticking(name, 1.5)
    machine.enqueue()
    node = machine.start_node("b1")
    wait_until(lambda: len(machine.log.runs()) == 2, 20, "two to run")
    return node


def _assert_each_ran_once(machine, node):
    jobs = machine.wait_ended()
    assert {run.name: run.attempt for run in machine.log.runs()} == dict.fromkeys("ABCDEF", 1)
    assert len(machine.log.runs()) == 6
    assert {name: (job.deliveries, job.losses) for name, job in jobs.items()} == dict.fromkeys("ABCDEF", (1, 0))
    assert node.words().count("worker.started") == 1, "the worker lived through it"
    machine.assert_all_done_and_none_twice_at_once(jobs)


def test_a_killed_server_is_brought_back_by_its_supervisor_and_jobfiles_notice_nothing(machine, wait_until):
    node = _start_six(machine, wait_until)
    (old,) = servers.servers(machine.home)
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: servers.servers(machine.home) not in ([], [old]), 10, "the supervisor to start another server")
    _assert_each_ran_once(machine, node)


def test_with_the_supervisor_killed_too_any_command_brings_the_broker_back(machine, wait_until):
    node = _start_six(machine, wait_until)
    servers.kill_broker(machine.home)
    wait_until(lambda: all(run.ended for run in machine.log.runs()), 10, "the running ones to end without a broker")
    assert len(machine.log.runs()) == 2
    said = machine.call("status", "--json")
    assert said.code == 0
    assert said.json["running"] + said.json["done"] + said.json["queued"] == 6
    _assert_each_ran_once(machine, node)


def test_a_run_lives_through_the_death_of_its_broker(machine, wait_until):
    for name in "ABCD":
        machine.write_ticking(name, 1.0)
    child = machine.start()
    wait_until(lambda: len(machine.log.runs()) == 2, 30, "two to run")
    servers.kill_broker(machine.home)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    jobs = machine.jobs_of_a_stopped_broker()
    assert [run.attempt for run in machine.log.runs()] == [1, 1, 1, 1]
    machine.assert_all_done_and_none_twice_at_once(jobs)
