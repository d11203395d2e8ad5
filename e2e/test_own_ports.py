"""What the agent opens for itself is of no use to others, whichever means the pod allows."""

import pytest

from harness.pods import PORTS
from harness.sockets import dial, ending, who
from harness.tools import peer

pytestmark = pytest.mark.usefixtures("lab_only")


@pytest.fixture(params=["tproxy", "nat"])
def own_ports(request, podgraft, pod, laptop):
    """A redirected pod, and the (address, port) pairs that the agent listens on for it, the control port aside."""
    if request.param == "nat":
        pod.run_in_netns("nft", "table inet own { chain prerouting { type nat hook prerouting priority dstnat; }; }")
    before = set(pod.listeners())
    up = podgraft.redirect_to(laptop, pod, "http").up
    assert up["mechanism"] == request.param
    control = tuple(pod.logs(up["container"]).split("listening on ")[1].split()[0].rsplit(":", 1))
    opened = set(pod.listeners()) - before
    assert control in opened and control[0] == "127.0.0.1"
    return pod, opened - {control}


def test_they_refuse_who_comes_by_no_rule(own_ports):
    pod, ports = own_ports
    assert ports
    for _, port in ports:
        for address in (pod.ip, pod.ip6):
            with pytest.raises((ConnectionRefusedError, ConnectionResetError)), dial(address, int(port)) as s:
                if ending(s) == "reset":
                    raise ConnectionResetError
        for address in ("127.0.0.1", "::1"):
            got = peer("reset-client", address, port, "--bytes", 1, "--timeout-ms", 2000, pod=pod)
            assert got["saw"] in ("refused", "reset"), got
    assert who(pod.ip, PORTS["http"]) == "laptop"
