import asyncio
import gc
from typing import Any

import pytest
from aiokafka.errors import ProducerFenced

from streams.kafka_settings import KafkaSettings, TopicSettings
from streams.output import FencedError, Output, OutputError, ProducerRecord
from streams.topics import create_topics
from tests.kafka.broker import KafkaBroker
from tests.streams.topic_records import end_offset, read


@pytest.fixture
def kafka(kafka_broker: KafkaBroker, topic_settings: TopicSettings) -> KafkaSettings:
    kafka = KafkaSettings(bootstrap_servers=(kafka_broker.bootstrap,), group_id=topic_settings.flows.name)
    create_topics(kafka, topic_settings)
    return kafka


def found(kafka: KafkaSettings, topic: str) -> list[bytes | None]:
    return [record.value for record in read(kafka.bootstrap_servers[0], topic)]


@pytest.mark.parametrize("transactional", [True, False])
async def test_what_is_written_can_be_read_once_the_call_returns(
    kafka: KafkaSettings, topic_settings: TopicSettings, transactional: bool
) -> None:
    late, letters = topic_settings.flows_late.name, topic_settings.flows_dead_letter.name
    output = Output(kafka, kafka.group_id if transactional else None)
    await output.start()
    await output.write([ProducerRecord(late, b"1"), ProducerRecord(letters, b"2", headers={"why": b"so"})])
    await output.write([ProducerRecord(late, b"3", b"key", partition=0)])
    await output.close()
    assert await asyncio.to_thread(found, kafka, late) == [b"1", b"3"]
    (letter,) = read(kafka.bootstrap_servers[0], letters)
    assert (letter.value, letter.headers) == (b"2", {"why": b"so"})


async def test_nothing_to_write_begins_no_transaction(kafka: KafkaSettings, topic_settings: TopicSettings) -> None:
    output = Output(kafka, kafka.group_id)
    await output.start()
    await output.write([])
    await output.close()
    assert await asyncio.to_thread(end_offset, kafka.bootstrap_servers[0], topic_settings.flows_late.name) == 0


async def test_calls_at_the_same_time_take_turns(kafka: KafkaSettings, topic_settings: TopicSettings) -> None:
    late = topic_settings.flows_late.name
    output = Output(kafka, kafka.group_id)
    await output.start()
    await asyncio.gather(*(output.write([ProducerRecord(late, b"%d" % number)] * 3) for number in range(5)))
    await output.close()
    values = await asyncio.to_thread(found, kafka, late)
    assert sorted(values, key=str) == sorted([b"%d" % number for number in range(5)] * 3)
    assert all(len(set(values[at : at + 3])) == 1 for at in range(0, 15, 3))


async def test_a_new_writer_shuts_the_old_one_out_and_undoes_what_it_left(
    kafka: KafkaSettings, topic_settings: TopicSettings
) -> None:
    late = topic_settings.flows_late.name
    old, new = Output(kafka, kafka.group_id), Output(kafka, kafka.group_id)
    await old.start()
    await old.write([ProducerRecord(late, b"old")])
    assert old._producer is not None
    await old._producer.begin_transaction()
    await old._producer.send_and_wait(late, b"half")
    await new.start()
    await new.write([ProducerRecord(late, b"new")])
    with pytest.raises(ProducerFenced):
        await old._producer.send_and_wait(late, b"half")
    assert await asyncio.to_thread(found, kafka, late) == [b"old", b"new"]
    await new.close()
    await old.close()


async def test_a_writer_that_was_shut_out_is_told_so(kafka: KafkaSettings, topic_settings: TopicSettings) -> None:
    late = topic_settings.flows_late.name
    old, new = Output(kafka, kafka.group_id), Output(kafka, kafka.group_id)
    await old.start()
    await new.start()
    with pytest.raises(FencedError, match=f"{late} cannot be written: another worker has taken {kafka.group_id} over"):
        await old.write([ProducerRecord(late, b"old")])
    await new.write([ProducerRecord(late, b"new")])
    assert await asyncio.to_thread(found, kafka, late) == [b"new"]
    await new.close()
    await old.close()


async def test_a_writer_that_is_shut_out_in_the_middle_of_many_records_is_told_so(
    kafka: KafkaSettings, topic_settings: TopicSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = Output(kafka, kafka.group_id), Output(kafka, kafka.group_id)
    await old.start()
    await new.start()
    producer = old._producer
    assert producer is not None
    send, sender = producer.send, producer._sender.sender_task

    async def send_slowly(*arguments: Any, **options: Any) -> Any:
        sent = await send(*arguments, **options)
        await asyncio.wait({sender})
        return sent

    monkeypatch.setattr(producer, "send", send_slowly)
    with pytest.raises(FencedError):
        await old.write([ProducerRecord(topic_settings.flows_late.name, b"old")] * 3)
    await new.close()
    await old.close()


async def test_a_writer_that_was_shut_out_and_let_go_leaves_no_errors_that_nobody_looked_at(
    kafka: KafkaSettings, topic_settings: TopicSettings
) -> None:
    left: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: left.append(context))
    old, new = Output(kafka, kafka.group_id), Output(kafka, kafka.group_id)
    await old.start()
    await new.start()
    with pytest.raises(FencedError):
        await old.write([ProducerRecord(topic_settings.flows_late.name, b"old")])
    await old.close()
    await new.close()
    gc.collect()
    assert left == []


async def test_others_are_not_shut_out(kafka: KafkaSettings, topic_settings: TopicSettings) -> None:
    late = topic_settings.flows_late.name
    one, two = Output(kafka, f"{kafka.group_id}/1"), Output(kafka, f"{kafka.group_id}/2")
    await one.start()
    await two.start()
    await one.write([ProducerRecord(late, b"1")])
    await two.write([ProducerRecord(late, b"2")])
    await one.write([ProducerRecord(late, b"3")])
    await one.close()
    await two.close()
    assert await asyncio.to_thread(found, kafka, late) == [b"1", b"2", b"3"]


async def test_what_a_broker_refuses_is_an_error_and_so_is_all_that_follows(
    kafka: KafkaSettings, topic_settings: TopicSettings
) -> None:
    late = topic_settings.flows_late.name
    output = Output(kafka, kafka.group_id)
    await output.start()
    with pytest.raises(OutputError, match=f"{late} cannot be written: .*larger than the maximum request size"):
        await output.write([ProducerRecord(late, bytes(2 << 20))])
    with pytest.raises(OutputError, match="is closed, or failed before"):
        await output.write([ProducerRecord(late, b"1")])
    assert await asyncio.to_thread(found, kafka, late) == []
    await output.close()


async def test_a_closed_writer_writes_nothing(kafka: KafkaSettings, topic_settings: TopicSettings) -> None:
    output = Output(kafka, kafka.group_id)
    with pytest.raises(OutputError, match="is closed, or failed before"):
        await output.write([ProducerRecord(topic_settings.flows_late.name, b"1")])
    await output.start()
    await output.close()
    await output.close()
