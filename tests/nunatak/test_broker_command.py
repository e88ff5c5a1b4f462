"""`nunatak broker`: started, looked at, stopped; and the broker as every command finds it."""

import pytest
from filled_queue import Command, call

from broker.errors import Unreachable
from broker.home import Home
from nunatak.session import Session, open_broker
from nunatak.settings import Settings


def test_a_broker_is_started_shown_and_stopped(home: Home):
    assert call(home.root, "broker", "status").code == 3
    started = call(home.root, "broker", "start")
    assert started.code == 0
    assert started.out.startswith("running on ")
    said = call(home.root, "broker", "status", "--json")
    assert said.code == 0
    assert said.json["running"] is True
    assert said.json["hosts"] == ["127.0.0.1"]
    assert call(home.root, "broker", "stop").out.startswith("stopped; the queue is kept in ")
    assert "it was stopped on" in call(home.root, "broker", "status").out
    assert call(home.root, "broker", "stop").out == "no broker runs\n"


def test_no_password_is_shown(settings: Settings):
    secret = settings.home.password_file.read_text().strip()
    for words in (("broker", "status"), ("broker", "status", "--json"), ("config",)):
        assert secret not in call(settings.home.root, *words).out


def test_it_is_not_stopped_while_a_block_lives_unless_forced(home: Home):
    call(home.root, "broker", "start")
    broker = open_broker(Settings(home=home))
    broker.ledger.record_block("b1", {"site": "local", "submitted_at": str(broker.ledger.now_s())})
    broker.client.close()
    refused = call(home.root, "broker", "stop")
    assert refused.code == 2
    assert "1 block(s) live (b1)" in refused.err
    assert call(home.root, "broker", "stop", "--force").code == 0


def test_starting_twice_finds_the_one_that_runs(nunatak: Command):
    first = nunatak("broker", "status", "--json").json["pid"]
    assert nunatak("broker", "start").code == 0
    assert nunatak("broker", "status", "--json").json["pid"] == first


def test_a_session_knows_whether_it_has_started_the_broker(home: Home):
    settings = Settings(home=home)
    with Session(settings) as session:
        session.ask(lambda broker: broker.client.ping())
        assert session.started_here
    with Session(settings) as session:
        session.ask(lambda broker: broker.client.ping())
        assert not session.started_here


def test_a_session_finds_the_broker_again_after_it_died(home: Home):
    settings = Settings(home=home)
    with Session(settings) as session:
        session.ask(lambda broker: broker.client.set("x", "1"))
        call(home.root, "broker", "stop")
        with pytest.raises(Unreachable):
            session.ask(lambda broker: broker.ledger.campaigns())
        assert session.ask(lambda broker: broker.client.get("x")) == "1"
        call(home.root, "broker", "stop")
        assert session.insist(lambda broker: broker.ledger.campaigns()) == []


def test_a_session_that_must_not_start_one_says_whether_there_is_one(home: Home, settings: Settings):
    assert not Session(Settings(home=home), start=False).is_there()
    with Session(settings, start=False) as session:
        assert session.is_there()
