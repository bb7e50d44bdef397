import socket
import threading
import time

import pytest

from streams.errors import ServiceError
from streams.http import HttpEndpoints
from streams.http_settings import HttpSettings
from streams.metrics import Metrics
from streams.reload import Reloaded
from tests.streams.programs import check_metrics, get

ANY = HttpSettings(port=0)


def address_of(endpoints: HttpEndpoints) -> tuple[str, int]:
    host, _, port = endpoints.address.removeprefix("http://").rpartition(":")
    return host.strip("[]"), int(port)


def test_metrics_are_served_as_they_are_now() -> None:
    metrics = Metrics()
    with HttpEndpoints(ANY, metrics, list) as endpoints:
        metrics.tracked(hosts=3, open_findings={})
        status, page = get(address_of(endpoints), "/metrics")
    assert status == 200
    assert "flowhawk_hosts 3.0\n" in page
    check_metrics(page)


def test_ready_is_503_with_the_reasons_until_there_are_none() -> None:
    reasons = ["no partition is assigned", "state is being restored"]
    with HttpEndpoints(ANY, Metrics(), lambda: reasons) as endpoints:
        address = address_of(endpoints)
        assert get(address, "/-/ready") == (503, "no partition is assigned\nstate is being restored\n")
        assert get(address, "/-/healthy") == (200, "healthy\n")
        reasons.clear()
        assert get(address, "/-/ready") == (200, "ready\n")


def test_other_paths_are_404_and_say_what_there_is() -> None:
    with HttpEndpoints(ANY, Metrics(), list) as endpoints:
        assert get(address_of(endpoints), "/") == (404, "there are /metrics, /-/healthy, /-/ready and POST /-/reload\n")


@pytest.mark.parametrize(("successful", "status"), [(True, 200), (False, 400)])
def test_a_reload_answers_with_what_became_of_it(successful: bool, status: int) -> None:
    with HttpEndpoints(ANY, Metrics(), list) as endpoints:
        endpoints.reload = lambda: Reloaded(successful=successful, message="one\ntwo")
        assert get(address_of(endpoints), "/-/reload", "POST") == (status, "one\ntwo\n")


def test_a_reload_is_asked_for_with_post_alone() -> None:
    with HttpEndpoints(ANY, Metrics(), list) as endpoints:
        endpoints.reload = lambda: pytest.fail("nobody asked for it")
        assert get(address_of(endpoints), "/-/reload") == (405, "settings are read again on POST\n")


def test_a_reload_that_cannot_be_is_503() -> None:
    def late() -> Reloaded:
        raise ServiceError("not done within 30 s")

    with HttpEndpoints(ANY, Metrics(), list) as endpoints:
        assert get(address_of(endpoints), "/-/reload", "POST") == (503, "settings cannot be read again now\n")
        endpoints.reload = late
        assert get(address_of(endpoints), "/-/reload", "POST") == (503, "not done within 30 s\n")


def test_one_slow_answer_does_not_delay_another() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def not_ready() -> list[str]:
        asked.set()
        go_on.wait(10)
        return []

    with HttpEndpoints(ANY, Metrics(), not_ready) as endpoints:
        address = address_of(endpoints)
        slow = threading.Thread(target=get, args=(address, "/-/ready"))
        slow.start()
        assert asked.wait(10)
        begun = time.monotonic()
        assert get(address, "/-/healthy")[0] == 200
        assert time.monotonic() - begun < 5
        go_on.set()
        slow.join()


def test_requests_leave_no_trace_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    with HttpEndpoints(ANY, Metrics(), list) as endpoints:
        get(address_of(endpoints), "/metrics")
    assert capfd.readouterr() == ("", "")


def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    with HttpEndpoints(ANY, Metrics(), list) as endpoints:
        assert endpoints.address.startswith("http://127.0.0.1:")


def test_it_listens_on_ipv6_addresses() -> None:
    with HttpEndpoints(HttpSettings(host="::1", port=0), Metrics(), list) as endpoints:
        assert endpoints.address.startswith("http://[::1]:")
        assert get(address_of(endpoints), "/-/healthy")[0] == 200


def test_it_is_silent_once_it_is_closed() -> None:
    with HttpEndpoints(ANY, Metrics(), list) as endpoints:
        address = address_of(endpoints)
    with pytest.raises(ConnectionRefusedError):
        get(address, "/-/healthy")


def test_a_port_that_is_taken_is_one_line_with_the_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError) as caught:
            HttpEndpoints(HttpSettings(port=port), Metrics(), list)
    assert str(caught.value) == (
        f"127.0.0.1:{port} cannot be listened on for /metrics: Address already in use; "
        "set http.port (FLOWHAWK__HTTP__PORT) to another port, or to 0 for any free one"
    )


def test_two_services_never_share_a_port() -> None:
    with HttpEndpoints(ANY, Metrics(), list) as endpoints, pytest.raises(ServiceError, match="already in use"):
        HttpEndpoints(HttpSettings(port=address_of(endpoints)[1]), Metrics(), list)


def test_an_address_that_is_not_here_is_one_line() -> None:
    with pytest.raises(ServiceError, match=r"192\.0\.2\.1:0 cannot be listened on"):
        HttpEndpoints(HttpSettings(host="192.0.2.1", port=0), Metrics(), list)
