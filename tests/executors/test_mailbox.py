import threading
from collections.abc import Callable

from gristmill.executors.mailbox import Mailbox, Reply
from gristmill.replica.messages import Assign, Began, Command, Event, Stop


def _in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_events_come_in_the_order_they_were_told_with_their_numbers():
    mailbox = Mailbox()
    for task in range(3):
        mailbox.send(Began(task))
    assert mailbox.exchange(0, 0, ()) == Reply(0, (Began(0), Began(1), Began(2)))
    mailbox.send(Began(3))
    assert mailbox.exchange(1, 3, ()) == Reply(3, (Began(3),))


def test_a_call_with_commands_sends_the_waiting_one_home_empty():
    mailbox = Mailbox()
    first: list[Reply] = []
    second: list[Reply] = []
    waiting = _in_thread(lambda: first.append(mailbox.exchange(0, 0, ())))
    bringing = _in_thread(lambda: second.append(mailbox.exchange(1, 0, (Stop(),))))
    assert mailbox.receive() == Stop()
    waiting.join(10)
    assert first == [Reply(0)]
    mailbox.send(Began(1))
    bringing.join(10)
    assert second == [Reply(0, (Began(1),))]


def test_commands_keep_their_order_when_calls_overtake_each_other():
    mailbox = Mailbox()
    late = _in_thread(lambda: mailbox.exchange(1, 0, (Stop(),)))
    early = _in_thread(lambda: mailbox.exchange(0, 0, (Assign(()),)))
    heard: list[Command] = [mailbox.receive(), mailbox.receive()]
    assert heard == [Assign(()), Stop()]
    early.join(10)
    mailbox.send(Began(0))
    late.join(10)
    assert not late.is_alive()


def test_a_sure_send_returns_only_when_the_runner_says_that_it_has_the_event():
    mailbox = Mailbox()
    told = threading.Event()

    def tell() -> None:
        mailbox.send(Began(1))
        mailbox.send(Began(2), sure=True)
        told.set()

    teller = _in_thread(tell)
    have: list[Event] = []
    turn = 0
    while len(have) < 2:
        have += mailbox.exchange(turn, len(have), ()).events
        turn += 1
        assert not told.is_set()
    _in_thread(lambda: mailbox.exchange(turn, len(have), ()))
    teller.join(10)
    assert told.is_set()


def test_a_busy_workers_events_travel_together():
    mailbox = Mailbox(pace=30)
    mailbox.send(Began(0))
    mailbox.exchange(0, 0, ())  # the pace counts from here
    replies: list[Reply] = []
    call = _in_thread(lambda: replies.append(mailbox.exchange(1, 1, ())))
    for task in range(1, 6):
        mailbox.send(Began(task))
    _in_thread(lambda: mailbox.send(Began(6), sure=True))  # which does not wait for the pace
    call.join(10)
    assert replies == [Reply(1, tuple(Began(task) for task in range(1, 7)))]


def test_the_end_is_told_after_the_last_event():
    mailbox = Mailbox(pace=0)
    many = 1_000
    for task in range(many):
        mailbox.send(Began(task))
    mailbox.end("done")
    have: list[Event] = []
    ended = None
    turn = 0
    while ended is None:
        reply = mailbox.exchange(turn, len(have), ())
        assert reply.first == len(have)
        have += reply.events
        ended = reply.ended
        turn += 1
    assert ended == "done"
    assert have == [Began(task) for task in range(many)]
