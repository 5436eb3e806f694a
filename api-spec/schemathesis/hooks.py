"""What schemathesis has to know about Steward that an API document cannot say."""

import os
import uuid
from urllib.parse import urlsplit

import requests
import schemathesis
from schemathesis import GenerationMode
from schemathesis.core import NOT_SET

API = os.environ["STEWARD_URL"] + "/api/v1"
ADMIN = {"email": os.environ["STEWARD_EMAIL"], "password": os.environ["STEWARD_PASSWORD"]}
# Somebody whose logins may end, unlike those of the one who asks everything else.
LEAVER = {"email": "leaver@example.com", "password": "correct horse battery staple"}
# Nothing listens there, and it is on this machine.
NOWHERE = "http://127.0.0.1:9/"


def _log_in(credentials):
    answer = requests.post(f"{API}/auth/login", json=credentials, timeout=60)
    answer.raise_for_status()
    return answer.json()["access_token"]


def _set_up():
    headers = {"Authorization": "Bearer " + _log_in(ADMIN)}
    answer = requests.post(f"{API}/admin/users", json={**LEAVER, "role": "admin"}, headers=headers, timeout=60)
    answer.raise_for_status()
    own = requests.get(f"{API}/auth/me", headers=headers, timeout=60).json()["id"]
    return {own, answer.json()["id"]}


OWN_USERS = _set_up()
LEAVES = ["logout", "logoutAll"]


class _Auth:
    credentials = ADMIN

    def get(self, case, context):
        return _log_in(self.credentials)

    def set(self, case, data, context):
        case.headers = {**(case.headers or {}), "Authorization": "Bearer " + data}


@schemathesis.auth(refresh_interval=1800).skip_for(operation_id=LEAVES)
class AsAdmin(_Auth):
    """One login for everything."""


@schemathesis.auth(refresh_interval=None).apply_to(operation_id=LEAVES)
class AsLeaver(_Auth):
    """A login for each request that ends one."""

    credentials = LEAVER


def _is_on_this_machine(address):
    try:
        return urlsplit(address).hostname in (None, "127.0.0.1")
    except ValueError:
        return True


def _at_home(value):
    """The value with addresses on other machines replaced: what is made up here is sent nowhere, and never started."""
    if isinstance(value, dict):
        return {
            key: "true" if key == "command" and isinstance(inner, str) else _at_home(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_at_home(inner) for inner in value]
    if isinstance(value, str) and value.lower().startswith(("http:", "https:")) and not _is_on_this_machine(value):
        return NOWHERE
    return value


# Texts that have a meaning beyond their schema, by the names of their fields: what a request that is to be accepted
# says there. Everywhere else, and in requests that are to be refused, stands what was made up.
MEANT = {
    "add_dirs": ["more"],
    "budget_usd": 2.5,
    "cron": "0 6 * * 1-5",
    "custom_policies": [],
    "cwd": "/tmp",
    "data": "aGk=",
    "end_date": "2026-02-01",
    "env": {},
    "event_types": ["PreToolUse"],
    "expires_at": "2100-01-01T00:00:00Z",
    "fail_mode": "open",
    # The model cannot stand in for itself.
    "fallback_model": None,
    # No more than the session has.
    "fork_at_message": 0,
    "hooks_enabled": [],
    # Registered servers.
    "mcp_servers": {},
    "monthly_budget_usd": 25,
    "notification_webhook": NOWHERE,
    "policies": [],
    # A template that can be read.
    "prompt_template": "hello",
    "schedule_cron": "0 6 * * 1-5",
    # Users that are there.
    "shared_with": [],
    "start_date": "2026-01-01",
    # A second is enough for no agent on a machine that is busy.
    "timeout_seconds": 600,
    "time_zone": "Europe/Berlin",
    "timezone": "Europe/Berlin",
    "tool_matcher": "Bash",
    "url": NOWHERE,
    "working_directory": "work",
}
POLICY = 'forbid (principal, action == Action::"run_command", resource == Command::"systemctl");'


def _meant(value):
    if isinstance(value, list):
        return [_meant(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    return {key: MEANT[key] if key in MEANT and inner is not None else _meant(inner) for key, inner in value.items()}


def _make_acceptable(case):
    # In sequences, the end of the address before is taken for an id, which `search` is not.
    if case.path_parameters and case.path_parameters.get("id") == "search":
        case.path_parameters["id"] = str(uuid.uuid4())
    if case.body is not NOT_SET:
        case.body = _meant(case.body)
    if case.query:
        case.query = {key: value for key, value in _meant(dict(case.query)).items() if key != "cursor"}
    for name in list(case.headers or {}):
        # A version that nothing has, and a key that was used for something else, are refused.
        if name.lower() in ("if-match", "if-none-match"):
            del case.headers[name]
        elif name.lower() == "idempotency-key":
            case.headers[name] = str(uuid.uuid4())
        # OpenAPI has no words for an answer that is without its body when that was asked for.
        elif name.lower() == "prefer" and "return=minimal" in case.headers[name]:
            del case.headers[name]
    # What a server is given has to fit together: names in its arguments, and what it has already.
    if isinstance(case.body, dict) and case.operation.path.startswith("/api/v1/mcp-servers"):
        if "multipart" in str(case.media_type):
            case.body["file"] = '{"mcpServers": {}}'
        elif case.method.upper() == "POST":
            for name, nothing in (("args", []), ("headers", {})):
                if name in case.body:
                    case.body[name] = nothing
        else:
            for name in ("server_type", "command", "url", "args", "env", "headers"):
                case.body.pop(name, None)
    # The language of policies is Cedar, and a policy has a rule.
    if isinstance(case.body, dict) and case.operation.path.startswith("/api/v1/policies"):
        if case.body.get("text") is not None:
            case.body["text"] = POLICY
    # Whether a task has a schedule already is not in the request.
    if isinstance(case.body, dict) and case.method.upper() == "PATCH" and case.operation.path == "/api/v1/tasks/{id}":
        if case.body.get("schedule_cron") is None:
            for name in ("is_scheduled", "schedule_cron"):
                case.body.pop(name, None)
    # Only hooks that decide can fail in a way.
    if isinstance(case.body, dict) and case.operation.path.startswith("/api/v1/hooks") and case.body.get("kind"):
        case.body["kind"] = "decision"
    # What is added to the built-in prompt needs it.
    if isinstance(case.body, dict) and isinstance(case.body.get("sdk_options"), dict):
        case.body["sdk_options"].pop("append_system_prompt", None)
    # What is forked is a session that is there, what runs in the background has a prompt, a template exists.
    if isinstance(case.body, dict) and case.operation.path == "/api/v1/sessions":
        for name in ("mode", "parent_session_id", "fork_at_message", "template_id"):
            case.body.pop(name, None)


def _make_unacceptable(case):
    """A body that may be left out is sometimes left out where the case means to be refused, which would be accepted."""
    is_of_operation = case.method.upper() == case.operation.method.upper()
    if case.body is NOT_SET and case.operation.body and is_of_operation:
        case.body, case.media_type = [], "application/json"


@schemathesis.hook
def before_call(context, case, kwargs):
    # Whether a case means to be accepted is judged anew once its body is set: an address that fits in the place of one that
    # does not may make it one, and a body that is left out would be taken for a wrong one.
    body = _at_home(case.body)
    if body != case.body:
        case.body = body
    if case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE:
        _make_acceptable(case)
    else:
        _make_unacceptable(case)
    # Nobody is left to ask anything if those who ask are taken away.
    if case.path_parameters and str(case.path_parameters.get("user_id")) in OWN_USERS:
        if case.method.upper() in ("PATCH", "DELETE"):
            case.path_parameters["user_id"] = str(uuid.uuid4())
