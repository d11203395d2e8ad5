"""Lanes, as the pod's network knows them."""


class Lanes:
    """The connections to an agent's control port: each is a lane."""

    def __init__(self, pod, container):
        self.pod = pod
        self.control = pod.logs(container).split("127.0.0.1:")[1].split()[0]

    def ports(self):
        """The far ports of those that are up."""
        lines = self.pod.run_in_netns("ss", "-Htn", "state", "established", "sport", "=", f":{self.control}").splitlines()
        return [line.split()[3].rsplit(":", 1)[1] for line in lines]

    def kill(self, port):
        """Breaks one off at the agent's end."""
        self.pod.run_in_netns("ss", "-K", "-tn", "state", "established", f"( sport = :{self.control} and dport = :{port} )")

    def kill_all(self):
        """Breaks off all that are up: the link is lost, and both ends are told at once."""
        for port in self.ports():
            self.kill(port)
