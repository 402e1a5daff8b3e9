"""RedisStore over Sentinels and in a Cluster: the server that holds the sessions can change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
import redis.sentinel
import valkey
import valkey.sentinel
from redis.crc import key_slot

from lembro import ConfigError, Record, StoreUnavailable
from lembro.stores import RedisStore
from lembro.stores.redis.locator import Locator
from lembro.stores.redis.target import parse
from tests.support.servers import HOST
from tests.support.servers.redis import (
    Cluster,
    RedisServer,
    Sentinels,
    new_prefix,
    serve,
    shared,
    wait_until,
)

K, L = b"k" * 32, b"l" * 32
LIVES: dict[str, Any] = {"idle": 1000.0, "life": 5000.0}
ROTATION: dict[str, Any] = {"expected": b"one", "idle": 100.0, "life": None, "grace": 30.0}

Colour = Callable[[Any], Any]


@pytest.fixture
def sentinels() -> Iterator[Sentinels]:
    found = Sentinels()
    yield found
    found.remove()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    found = Cluster()
    yield found
    found.remove()


def answers(store: Any, key: bytes) -> Callable[[], bool]:
    """Return a function that tells whether the store has a key; False while it fails."""

    def ask() -> bool:
        try:
            return store.get(key) is not None
        except StoreUnavailable:
            return False

    return ask


# -- Sentinels


@pytest.mark.parametrize("fails", ["kill", "freeze"])
def test_a_failover_by_sentinels_loses_no_replicated_session(
    sentinels: Sentinels, colour: Colour, fails: str
) -> None:
    old = sentinels.primary()
    store = colour(RedisStore(sentinels.url, timeout=1.0, wait_replicas=1))
    assert store.add(K, Record(b"one", "ana"), **LIVES)
    assert store.replace(K, L, Record(b"two", "ana"), **ROTATION) is not None  # it is replicated
    getattr(old, fails)()
    wait_until(answers(store, L), "the failover")
    sentinels.wait_for_failover(old)  # the others may hear of it later than the one that was asked
    assert store.get(L).payload == b"two"
    store.add(b"m" * 32, Record(b"three", "ana"), **LIVES)
    if fails == "freeze":  # the old primary becomes a replica
        old.thaw()
    assert store.get(L).payload == b"two"
    assert len(store.of_user("ana")) == 2


def test_a_demoted_primary_is_not_used_any_more(sentinels: Sentinels, colour: Colour) -> None:
    old = sentinels.primary()
    store = colour(RedisStore(sentinels.url, timeout=5.0))
    assert store.add(K, Record(b"one", "ana"), **LIVES)
    sentinels.sentinels[0].do("SENTINEL", "FAILOVER", "main")
    sentinels.wait_for_failover(old)
    # The Sentinels do this too, but only after ten seconds.
    old.do("REPLICAOF", HOST, sentinels.primary().port)
    assert store.touch(K, idle=10.0) is True
    assert store.get(K).payload == b"one"


def test_sentinels_that_are_gone_or_know_nothing(colour: Colour) -> None:
    with serve() as gone:
        host = f"{HOST}:{gone.port}"
    store = colour(RedisStore(f"redis+sentinel://{host}/main", timeout=0.5))
    with pytest.raises(StoreUnavailable, match="no host knows a primary"):
        store.get(K)


def test_a_sentinel_that_answers_with_an_error_is_passed_over(colour: Colour) -> None:
    primary = shared()
    wrong = f"{HOST}:{primary.port}"  # a server that has no command SENTINEL
    config = f"sentinel monitor main {HOST} {primary.port} 1\n"
    sentinel = RedisServer(sentinel=config)
    try:
        url = f"redis+sentinel://{wrong},{HOST}:{sentinel.port}/main"
        assert colour(RedisStore(url, timeout=5.0)).get(K) is None
    finally:
        sentinel.remove()
    store = colour(RedisStore(f"redis+sentinel://{wrong}/main", timeout=5.0))
    with pytest.raises(StoreUnavailable, match=rf"no host knows a primary \({wrong}: unknown"):
        store.get(K)


def test_two_threads_may_find_the_server_at_once() -> None:
    locator = Locator(parse("redis+sentinel://h1,h2/main"), b"")
    one, other = locator.find(), locator.find()
    assert next(one)[0] == next(other)[0] == ("h1", 26379)
    assert one.send(None)[0] == ("h2", 26379)
    locator._hosts = [("h1", 26379)]  # as another thread may see it that moves h2 to the front
    with pytest.raises(StopIteration) as found:
        one.send([b"primary", b"6379"])
    assert found.value.value == ("primary", 6379)
    assert locator._hosts == [("h2", 26379), ("h1", 26379)]


def test_a_sentinel_with_a_password(sentinels: Sentinels, colour: Colour) -> None:
    for each in sentinels.sentinels:
        each.do("ACL", "SETUSER", "default", "resetpass", ">hunter2")
    store = RedisStore(sentinels.url, timeout=5.0, sentinel_password="hunter2")
    assert colour(store).get(K) is None
    with pytest.raises(ConfigError, match="the password of the Sentinels"):
        colour(RedisStore(sentinels.url, timeout=5.0)).open()


def test_a_server_that_is_no_primary_is_refused() -> None:
    locator = Locator(parse("redis+sentinel://h/main"), b"lembro:")
    locator.check_role([b"master", 1, []])
    with pytest.raises(StoreUnavailable, match="the server is no longer a primary"):
        locator.check_role([b"slave", b"h", 1, b"connected", 1])


def test_the_sentinel_that_answered_last_is_asked_first() -> None:
    locator = Locator(parse("redis+sentinel://a,b,c/main"), b"lembro:")
    finding = locator.find()
    assert next(finding)[0] == ("a", 26379)
    assert finding.send(None)[0] == ("b", 26379)
    with pytest.raises(StopIteration) as found:
        finding.send([b"h", b"6379"])
    assert found.value.value == ("h", 6379)
    assert next(locator.find())[0] == ("b", 26379)


@pytest.mark.parametrize("module", [redis, valkey], ids=["redis", "valkey"])
def test_a_sentinel_client_of_the_application_gets_no_reply_of_another(module: Any) -> None:
    """With these retries the connection stays in the pool after a timeout, with its reply."""
    backoff = module.backoff.NoBackoff()
    retry = module.retry.Retry(backoff, 0, supported_errors=(module.ConnectionError,))
    sentinel = module.sentinel.Sentinel([])
    client = sentinel.master_for("main", socket_timeout=0.2, retry=retry)
    with serve() as own:
        sentinel.discover_master = lambda name: (HOST, own.port)
        store = RedisStore(client, prefix=new_prefix())
        for key, payload in ((K, b"AAAA"), (L, b"BBBB")):
            store.add(key, Record(payload), **LIVES)
        own.freeze()
        with pytest.raises(StoreUnavailable):
            store.get(K)
        own.thaw()
        store._shared.breaker.close()
        found = store.get(L)
        assert found is not None
        assert found.payload == b"BBBB"
        client.close()


# -- a Cluster


def slot_of(store: RedisStore) -> int:
    return int(key_slot(store._verbs._prefix))  # type: ignore[attr-defined]


def owner(cluster: Cluster, slot: int) -> RedisServer:
    return cluster.nodes[min(2, slot // 5461)]


def ids(cluster: Cluster) -> dict[RedisServer, bytes]:
    return {node: node.do("CLUSTER", "MYID") for node in cluster.nodes}


def test_a_slot_that_moves_in_a_cluster(cluster: Cluster, colour: Colour) -> None:
    store = RedisStore(cluster.url, timeout=5.0)
    twin = colour(store)
    for key in (K, L):
        twin.add(key, Record(b"one"), **LIVES)
    slot, names = slot_of(store), ids(cluster)
    source = owner(cluster, slot)
    goal = next(node for node in cluster.nodes if node is not source)
    goal.do("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
    source.do("CLUSTER", "SETSLOT", slot, "MIGRATING", names[goal])
    source.do("MIGRATE", HOST, goal.port, b"{lembro}:s:" + K, 0, 5000)
    # One key has moved and the other has not; both are found where they are.
    for key in (K, L):
        assert twin.get(key).payload == b"one"
        assert twin.touch(key, idle=10.0) is True
    source.do("MIGRATE", HOST, goal.port, b"{lembro}:s:" + L, 0, 5000)
    for node in (goal, source):
        node.do("CLUSTER", "SETSLOT", slot, "NODE", names[goal])
    for key in (K, L):
        assert twin.get(key).payload == b"one"
    assert twin.set(K, Record(b"two"), expected=b"one", idle=10.0).payload == b"two"
    assert twin.length() == 2


def test_a_cluster_is_found_by_any_node_that_answers(cluster: Cluster, colour: Colour) -> None:
    store = RedisStore(cluster.url, timeout=5.0)
    slot = slot_of(store)
    other = next(node for node in cluster.nodes if node is not owner(cluster, slot))
    first = f"redis+cluster://{HOST}:{other.port}"
    store = RedisStore(first, timeout=5.0)
    twin = colour(store)
    assert twin.add(K, Record(b"one", "ana"), **LIVES)
    other.do("CONFIG", "SET", "cluster-require-full-coverage", "no")
    owner(cluster, slot).do("CONFIG", "SET", "cluster-require-full-coverage", "no")
    other.kill()
    store._shared.breaker.close()
    owner(cluster, slot).do("CLIENT", "KILL", "TYPE", "normal")
    assert twin.get(K).payload == b"one"  # asks a node that it has learned of


def test_a_node_of_a_cluster_that_fails_is_an_error(cluster: Cluster, colour: Colour) -> None:
    store = RedisStore(cluster.url, timeout=0.5)
    twin = colour(store)
    assert twin.add(K, Record(b"one"), **LIVES)
    owner(cluster, slot_of(store)).kill()
    with pytest.raises(StoreUnavailable):
        twin.get(K)


def test_a_node_without_an_address_is_the_one_that_was_asked() -> None:
    locator = Locator(parse("redis+cluster://a:1"), b"{lembro}:")
    finding = locator.find()
    next(finding)
    with pytest.raises(StopIteration) as found:
        finding.send([[0, 16383, [None, 7, b"id"], [b"b", 8, b"id"]]])
    assert found.value.value == ("a", 7)
    finding = locator.find()
    hosts = [next(finding)[0], *(finding.send([])[0] for _ in range(2))]
    assert hosts == [("a", 1), ("a", 7), ("b", 8)]
    with pytest.raises(StoreUnavailable, match=r"no host knows a primary \(b:8: refused\)"):
        finding.send("refused")
