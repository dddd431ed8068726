"""A chat endpoint that speaks OpenAI's protocol, over httpx: bounded retries, and an outcome for every way to fail.

The key comes from an environment variable, goes into the request's header and nowhere else.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ir_shared.console import UserError, missing_extra

from rerank_judge.scorers.base import Status

if TYPE_CHECKING:
    import httpx

__all__ = ["ChatEndpoint", "Completion"]

_LONGEST_WAIT_S = 60.0
_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Completion:
    """What came back: the text if the status is "ok", else an empty one."""

    text: str
    status: Status = "ok"


class ChatEndpoint:
    """One model behind one address; safe to use from several threads, and a context manager.

    Args:
        base_url: address up to and including the version, to which ``/chat/completions`` is added.
        key_variable: environment variable with the key; if it is unset, no key is sent.
        retries: how often a request is repeated after 408, 409, 429, 5xx or a broken connection.
        backoff_s: first wait, doubled each time; an answer's Retry-After counts if it is longer.

    Raises:
        UserError: httpx is not installed, or the address is none.
    """

    def __init__(self, base_url: str, *, key_variable: str, retries: int, backoff_s: float) -> None:
        if find_spec("httpx") is None:
            raise missing_extra("rerank-judge", "llm", "a language model behind an endpoint")
        import httpx

        if not base_url.startswith(("http://", "https://")):
            raise UserError(f"base_url {base_url!r}: must start with http:// or https://")
        key = os.environ.get(key_variable)
        self._key_variable = key_variable
        self._retries = retries
        self._backoff_s = backoff_s
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(headers=headers, timeout=_TIMEOUT_S)

    def __enter__(self) -> ChatEndpoint:
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()

    def complete(self, request: dict[str, Any]) -> Completion:
        """Sends one request.

        Returns:
            The text, or a status: "refused" where the model or its filter declines, "invalid" for an empty answer,
            "failed" where the endpoint stays busy or broken.

        Raises:
            UserError: the endpoint cannot be reached, or does not accept the key, the model or the request.
        """
        response = self._send(request)
        if response is None:
            return Completion("", "failed")
        if response.is_success:
            return _read(response)
        if "content_filter" in response.text or "content_policy" in response.text:
            return Completion("", "refused")
        raise UserError(f"{_shown_url(self._url)}: {self._explain(response)}")

    def _send(self, request: dict[str, Any]) -> httpx.Response | None:
        """The first answer that is final, or None if all attempts met a busy endpoint."""
        import httpx

        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            wait = self._backoff_s * 2**attempt
            try:
                response = self._client.post(self._url, json=request)
            except httpx.ConnectError as error:
                if last:
                    raise UserError(
                        f"{_shown_url(self._url)}: cannot be reached after {attempt + 1} attempts; is the server up?"
                    ) from error
            except httpx.TransportError:
                pass
            else:
                if response.status_code not in (408, 409, 429) and response.status_code < 500:
                    return response
                wait = max(wait, _retry_after(response))
            if not last:
                time.sleep(min(wait, _LONGEST_WAIT_S))
        return None

    def _explain(self, response: httpx.Response) -> str:
        code = response.status_code
        if code in (401, 403):
            return f"refuses the key (HTTP {code}); set the environment variable {self._key_variable}"
        if code == 404:
            return "HTTP 404; check base_url and the model's name"
        return f"HTTP {code}: {_message(response)}"


def _read(response: httpx.Response) -> Completion:
    try:
        choice = response.json()["choices"][0]
        message, reason = choice["message"], choice.get("finish_reason")
        text, refusal = message.get("content"), message.get("refusal")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return Completion("", "invalid")
    if refusal or reason == "content_filter":
        return Completion("", "refused")
    return Completion(text) if isinstance(text, str) and text.strip() else Completion("", "invalid")


def _retry_after(response: httpx.Response) -> float:
    try:
        return max(float(response.headers.get("retry-after", 0)), 0.0)
    except ValueError:
        return 0.0  # a date; the back-off will do


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"]).split("\n")[0][:200]
    except (ValueError, KeyError, TypeError):
        return response.text.strip().split("\n")[0][:200]


def _shown_url(url: str) -> str:
    """The address without a name and a password that may stand in it."""
    import httpx

    return str(httpx.URL(url).copy_with(userinfo=b"", query=None))
