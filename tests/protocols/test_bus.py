"""The bus over real sockets: what is said arrives, nobody waits, strangers stay out."""

import json
import threading

import pytest
import zmq

from protocols.bus import Answers, BusError, Publisher, Subscriber, ask, make_keys, schemas
from protocols.events import EVENTS, Flag, Health, ImageReady, Metrics, Severity

ANYWHERE = "tcp://127.0.0.1:*"
FLAG = Flag(code="snr", severity=Severity.WARN, message="SNR 3.1 in slice 2", score=3.1, limit=5.0)
HEALTH = Health(status="ready", release="0")


def test_what_is_published_arrives_as_it_was():
    with Publisher(ANYWHERE) as publisher, Subscriber(publisher.address) as subscriber:
        assert publisher.wait_for_subscriptions(len(EVENTS))
        sent = [FLAG, HEALTH, Metrics(readouts=3, stage_p99_ms={"finish": 0.5})]
        for event in sent:
            publisher.publish(event)
        assert [subscriber.receive(5) for _ in sent] == sent
        assert publisher.dropped == 0


def test_a_subscriber_hears_only_its_topics():
    with Publisher(ANYWHERE) as publisher, Subscriber(publisher.address, ["health"]) as subscriber:
        assert publisher.wait_for_subscriptions(1)
        publisher.publish(FLAG)
        publisher.publish(HEALTH)
        assert subscriber.receive(5) == HEALTH
        assert list(subscriber.events(0.01)) == []


def test_a_topic_that_does_not_exist_is_refused_with_the_nearest():
    with pytest.raises(BusError, match="Did you mean 'flag'"):
        Subscriber(ANYWHERE, ["flags"])


def test_many_threads_may_publish_at_once():
    threads, each = 4, 200
    with Publisher(ANYWHERE) as publisher, Subscriber(publisher.address, ["metrics"]) as subscriber:
        assert publisher.wait_for_subscriptions(1)

        def work(number):
            for n in range(each):
                publisher.publish(Metrics(session=f"c{number}", readouts=n))

        workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        got = [subscriber.receive(5) for _ in range(threads * each)]
        for worker in workers:
            worker.join()
    for number in range(threads):
        assert [event.readouts for event in got if event.session == f"c{number}"] == list(range(each))


def test_publishing_to_nobody_costs_nothing_and_drops_nothing():
    with Publisher(ANYWHERE) as publisher:
        for _ in range(100):
            publisher.publish(HEALTH)
        assert publisher.dropped == 0


def test_a_listener_that_does_not_read_is_counted_and_does_not_starve_the_others():
    with Publisher("ipc://@scanside-test-slow", waiting=4) as publisher:
        context = zmq.Context()
        slow = context.socket(zmq.SUB)
        slow.setsockopt(zmq.RCVHWM, 1)
        slow.subscribe("health")
        slow.connect(publisher.address)
        with Subscriber(publisher.address, ["health"]) as keen:
            assert publisher.wait_for_subscriptions(2)
            big = HEALTH.model_copy(update={"release": "x" * 100_000})
            heard = 0
            for _ in range(200):
                publisher.publish(big)
                heard += keen.receive(5) is not None
            assert heard == 200
            assert publisher.dropped > 0
        slow.close(linger=0)
        context.term()


def test_a_listener_that_leaves_is_no_longer_counted():
    with Publisher(ANYWHERE) as publisher:
        with Subscriber(publisher.address, ["flag"]):
            assert publisher.wait_for_subscriptions(1)
        with Subscriber(publisher.address, ["flag"]):
            assert publisher.wait_for_subscriptions(1)
        assert not publisher.wait_for_subscriptions(3, timeout_s=0.05)


@pytest.mark.parametrize("parts", [[b"flag", b"{"], [b"flag", b'{"code": "x"}'], [b"flagrant", b"{}"], [b"flag"]])
def test_an_event_that_is_not_as_its_schema_says_is_refused_and_the_next_is_read(parts):
    context = zmq.Context()
    stranger = context.socket(zmq.XPUB)
    stranger.bind(ANYWHERE)
    with Subscriber(stranger.getsockopt_string(zmq.LAST_ENDPOINT), ["flag"]) as subscriber:
        assert stranger.recv() == b"\x01flag"
        stranger.send_multipart(parts)
        stranger.send_multipart([b"flag", FLAG.model_dump_json().encode()])
        assert subscriber.receive(5) == FLAG
        assert subscriber.refused == 1
    stranger.close(linger=0)
    context.term()


def test_after_close_publishing_is_harmless_and_closing_twice_too():
    publisher = Publisher(ANYWHERE)
    publisher.close()
    publisher.publish(HEALTH)
    publisher.close()


def test_closing_leaves_no_thread_behind():
    before = threading.active_count()
    with Publisher(ANYWHERE) as publisher, Answers(ANYWHERE, lambda: HEALTH), Subscriber(publisher.address):
        publisher.publish(HEALTH)
    assert threading.active_count() == before


def test_an_address_in_use_says_what_to_try():
    with Publisher(ANYWHERE) as publisher, pytest.raises(BusError, match=r"Address already in use.*Try tcp"):
        Publisher(publisher.address)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:0", "tcp://127.0.0.1:*"])
def test_a_free_port_is_found_and_told(address):
    with Publisher(address) as publisher:
        assert int(publisher.address.rpartition(":")[2]) > 0


def test_a_publisher_on_the_network_without_keys_is_refused_with_the_command():
    with pytest.raises(BusError, match="scanside keys DIR"):
        Publisher("tcp://0.0.0.0:*")


def test_a_subscriber_to_the_network_without_keys_is_refused_with_the_command():
    with pytest.raises(BusError, match="scanside keys DIR"):
        Subscriber("tcp://192.0.2.1:9003")


def test_with_keys_the_bus_is_open_to_those_it_admits(tmp_path):
    make_keys(tmp_path)
    with Publisher("tcp://0.0.0.0:*", keys=tmp_path) as publisher:
        address = publisher.address.replace("0.0.0.0", "127.0.0.1")
        with Subscriber(address, ["health"], keys=tmp_path) as subscriber:
            assert publisher.wait_for_subscriptions(1)
            publisher.publish(HEALTH)
            assert subscriber.receive(5) == HEALTH


def test_a_stranger_who_knows_only_the_servers_public_key_is_kept_out(tmp_path):
    make_keys(tmp_path / "ours")
    make_keys(tmp_path / "theirs")
    (tmp_path / "theirs" / "server.key").write_bytes((tmp_path / "ours" / "server.key").read_bytes())
    with Publisher(ANYWHERE, keys=tmp_path / "ours") as publisher:
        with Subscriber(publisher.address, ["health"], keys=tmp_path / "theirs"):
            assert not publisher.wait_for_subscriptions(1, timeout_s=0.3)
        with Subscriber(publisher.address, ["health"]):
            assert not publisher.wait_for_subscriptions(1, timeout_s=0.3)


def test_keys_are_for_their_owner_only_and_never_replaced(tmp_path):
    made = make_keys(tmp_path)
    assert made["server secret"].stat().st_mode & 0o077 == 0
    assert made["client secret"].stat().st_mode & 0o077 == 0
    with pytest.raises(BusError, match="exists already"):
        make_keys(tmp_path)


def test_a_folder_without_keys_says_how_to_make_them(tmp_path):
    with pytest.raises(BusError, match="scanside keys"):
        Publisher(ANYWHERE, keys=tmp_path)


def test_health_and_schemas_can_be_asked_for():
    with Answers(ANYWHERE, lambda: HEALTH) as answers:
        assert Health.model_validate(ask(answers.address, "health")) == HEALTH
        assert ask(answers.address, "schema") == schemas()


def test_with_keys_answers_are_given_to_those_admitted(tmp_path):
    make_keys(tmp_path)
    with Answers(ANYWHERE, lambda: HEALTH, keys=tmp_path) as answers:
        assert Health.model_validate(ask(answers.address, "health", keys=tmp_path)) == HEALTH


def test_more_questions_may_be_given():
    with Answers(ANYWHERE, lambda: HEALTH, {"twice": lambda question: {"is": 2 * question["of"]}}) as answers:
        assert ask(answers.address, "twice", of=21) == {"is": 42}
        with pytest.raises(BusError, match="KeyError"):
            ask(answers.address, "twice")
        with pytest.raises(BusError, match="Did you mean 'health'"):
            ask(answers.address, "helth")


@pytest.mark.parametrize("body", [b"", b"\xff", b"[1]", b"{}"])
def test_a_question_that_is_none_gets_an_answer_and_the_next_one_too(body):
    with Answers(ANYWHERE, lambda: HEALTH) as answers:
        context = zmq.Context()
        socket = context.socket(zmq.REQ)
        socket.connect(answers.address)
        socket.send(body)
        assert socket.poll(5000)
        assert "wanted JSON" in json.loads(socket.recv())["error"]
        socket.close(linger=0)
        context.term()
        assert ask(answers.address, "health")["status"] == "ready"


def test_asking_where_nobody_is_ends_with_what_to_check():
    with Publisher(ANYWHERE) as gone:
        address = gone.address
    with pytest.raises(BusError, match="is scanside serve running"):
        ask(address, "health", timeout_s=0.05)


def test_every_topic_has_a_schema_with_its_version():
    for topic, schema in schemas().items():
        assert schema["properties"]["topic"]["const"] == topic
        assert schema["properties"]["version"]["const"] == 1
        assert "time_s" in schema["required"]


def test_an_image_ready_event_names_its_topic_on_the_wire():
    event = ImageReady(protocol="scout", series=1, index=1, slice=0, latency_ms=2.5, engine="linear")
    assert json.loads(event.model_dump_json())["topic"] == "image-ready"
