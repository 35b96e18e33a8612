"""Whatever a request is made of: no 5xx, one shape of error, nothing stored on a 4xx.

What was found stands as cases of their own in test_errors.py.
"""

from flask.testing import FlaskClient

from support.attacks import attack_in_process


def test_any_request_in_process(client: FlaskClient) -> None:
    attack_in_process(client=client)
