"""One session from its login to its end. Where the server is and who logs in is in the environment."""

import os
from typing import TypeVar

from steward_client import AuthenticatedClient, Client
from steward_client.api.auth import login
from steward_client.api.sessions import create_session, delete_session, list_messages, list_sessions, query_session
from steward_client.models import (
    LoginRequest,
    MessageResponse,
    Problem,
    QueryRequest,
    QueryResponse,
    SessionCreateRequest,
    SessionResponse,
    TokenResponse,
)

T = TypeVar("T")


def body(answer: object, kind: type[T]) -> T:
    """The body of an answer; a failure is raised with what the server said about it."""
    if not isinstance(answer, kind):
        raise RuntimeError(f"not a {kind.__name__}: {answer}")
    return answer


def main() -> None:
    url = os.environ["STEWARD_URL"]
    credentials = LoginRequest(email=os.environ["STEWARD_EMAIL"], password=os.environ["STEWARD_PASSWORD"])
    tokens = body(login.sync(client=Client(base_url=url), body=credentials), TokenResponse)
    with AuthenticatedClient(base_url=url, token=tokens.access_token, timeout=None) as client:
        wanted = SessionCreateRequest(name="from Python")
        session = body(create_session.sync(client=client, body=wanted), SessionResponse)
        question = QueryRequest(message="Say hello.")
        answer = body(query_session.sync(session.id, client=client, body=question), QueryResponse)
        if answer.status != "completed":
            raise RuntimeError(f"the turn is {answer.status}: {answer.error_message}")
        messages = list_messages.sync(session.id, client=client)
        if not isinstance(messages, list) or not all(isinstance(message, MessageResponse) for message in messages):
            raise RuntimeError(f"no messages: {messages}")
        refused = body(list_sessions.sync(client=client, limit=0), Problem)
        if refused.error_code != "VALIDATION_FAILED":
            raise RuntimeError(f"a limit of 0 was answered with {refused}")
        ended = delete_session.sync_detailed(session.id, client=client)
        if ended.status_code != 204:
            raise RuntimeError(f"the session was not ended: {ended}")
        print(f"{len(messages)} messages, ${answer.metrics.cost_usd}: {answer.content.text}")


main()
