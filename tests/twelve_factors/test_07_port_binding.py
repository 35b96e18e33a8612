"""VII. Port binding: services are exported by it (https://12factor.net/port-binding)."""

from support.processes import serving


def test_two_on_one_host_on_two_ports(database_url: str) -> None:
    """Complete in itself: no web server is put around it."""
    with serving(DATABASE_URL=database_url) as one, serving(DATABASE_URL=database_url) as two:
        assert one.url != two.url
        stored = one.post("Ada", "Hello").json()
        assert two.http.get("/comments/1").json() == stored
