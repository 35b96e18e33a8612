"""Whatever bytes gunicorn gets, they need not be HTTP at all: no 5xx, and no harm to others."""

from support.attacks import attack_over_a_socket
from support.processes import serving


def test_any_bytes_over_a_socket(database_url: str) -> None:
    with serving(DATABASE_URL=database_url, LOG_LEVEL="warning") as server:
        attack_over_a_socket(server=server)
