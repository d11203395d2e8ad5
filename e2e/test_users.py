"""Several people work on one pod without getting into each other's way."""

from harness.pods import PORTS
from harness.sockets import dial, read_exactly, who
from harness.tools import LocalServer

HTTP = PORTS["http"]


def test_two_users_redirect_two_ports_at_once(podgraft, another_user, pod, laptop):
    with LocalServer("other-laptop") as other:
        podgraft.redirect_to(laptop, pod, "http")
        another_user.redirect_to(other, pod, "greet")
        assert len(pod.agents()) == 2
        assert who(pod.ip, HTTP) == "laptop"
        with dial(pod.ip, PORTS["greet"]) as s:
            assert read_exactly(s, 24) == b"hello from other-laptop\n"


def test_one_who_leaves_does_not_disturb_the_other(podgraft, another_user, pod, laptop):
    mine = podgraft.redirect_to(laptop, pod, "http")
    another_user.redirect_to(laptop, pod, "greet")
    assert mine.stop() == 0
    assert who(pod.ip, HTTP) == "app"
    with dial(pod.ip, PORTS["greet"]) as s:
        assert read_exactly(s, 18) == b"hello from laptop\n"


def test_a_port_wanted_by_both_stays_with_the_first_and_the_second_learns_whose_it_is(podgraft, another_user, pod, laptop):
    podgraft.redirect_to(laptop, pod, "http")
    second = another_user.redirect(f"pod/{pod.name}", f"{HTTP}:{laptop.ports['http']}", ready=False)
    error = second.error()
    assert second.wait() == 4
    assert str(HTTP) in error["message"] and "redirected by" in error["message"], error
    assert error["hint"]
    assert who(pod.ip, HTTP) == "laptop"


def test_a_port_that_was_given_back_is_free_for_the_next(podgraft, another_user, pod, laptop):
    assert podgraft.redirect_to(laptop, pod, "http").stop() == 0
    with LocalServer("other-laptop") as other:
        another_user.redirect_to(other, pod, "http")
        assert who(pod.ip, HTTP) == "other-laptop"
