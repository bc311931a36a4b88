"""Secrets in text files: rules of exact shape first, checked offline where the issuer's format allows; nothing of a secret leaves but its mask.

A rule fires only when one of its literal words is in the file, so a file without any costs one search. What is checked: checksums (GitHub's and
npm's CRC-32), structure (JSON web tokens, PEM bodies), entropy for what has no fixed shape. Example and placeholder values do not count.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from phalanx.artifacts.model import Issue
from phalanx.artifacts.sources.entry import Entry
from phalanx.model.severity import Severity

__all__ = ["MAX_SECRET_FILE", "SECRET_RULES", "SecretRule", "find_secrets", "inspect_secrets", "mask"]

MAX_SECRET_FILE: Final = 4 << 20
"""Larger files are not searched, in bytes: what people write by hand is smaller."""


class SecretRule(Struct, frozen=True, kw_only=True):
    """One kind of secret."""

    id: str
    title: str
    severity: Severity
    words: tuple[bytes, ...]
    """One of these must be in the file, in lower case, before the pattern is tried."""
    pattern: re.Pattern[bytes]
    """Its group ``secret``, or the whole match, is the secret."""
    check: Callable[[bytes], bool] | None = None
    """Says whether it can be real; None when the shape alone is telling."""
    advice: str = "Revoke it at its issuer, then remove it from the history as well: it counts as known."


def entropy(text: bytes) -> float:
    """Shannon entropy in bits a character."""
    size = len(text)
    return -sum((count := text.count(byte)) / size * math.log2(count / size) for byte in set(text)) if size else 0.0


def _github(text: bytes) -> bool:
    """The last six characters are CRC-32 of the thirty before them in base 62 (GitHub, "Behind GitHub's new token formats", 2021)."""
    body, stated = text[4:34], text[34:40]
    value = zlib.crc32(body)
    digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    made = b""
    while value:
        value, rest = divmod(value, 62)
        made = digits[rest : rest + 1] + made
    return made.rjust(6, b"0") == stated


def _jwt(text: bytes) -> bool:
    head = text.split(b".")[0]
    try:
        return b'"alg"' in base64.urlsafe_b64decode(head + b"=" * (-len(head) % 4))
    except (binascii.Error, ValueError):
        return False


def _pem(text: bytes) -> bool:
    """A body that is base64 of a key and no ``...`` of a manual."""
    body = (
        b"".join(line for line in text.split(b"\n")[1:-1] if b":" not in line)
        .replace(b"\r", b"")
        .replace(b"\\n", b"")
        .strip()
    )
    return len(body) >= 64 and entropy(body) > 4.0


def _random(text: bytes) -> bool:
    return entropy(text) >= 3.5 and not _PLACEHOLDER.search(text.lower())


def _password(text: bytes) -> bool:
    return (
        len(text) >= 8
        and entropy(text) >= 2.75
        and not _PLACEHOLDER.search(text.lower())
        and not _REFERENCE.match(text)
    )


_PLACEHOLDER: Final = re.compile(
    rb"example|placeholder|changeme|change_me|your[_-]|<[a-z_ -]+>|xxxx|\.\.\.|todo|dummy|sample|redacted|insert|replace|abcdef|123456|password|secret|test"
)
_REFERENCE: Final = re.compile(
    rb"\$[{(A-Za-z]|\{\{|%\(|process\.env|os\.environ|env\[|getenv|arn:|https?://|file:|/run/secrets|vault:"
)


def _rule(
    id_: str, title: str, severity: Severity, words: str, pattern: bytes, check: Callable[[bytes], bool] | None = None
) -> SecretRule:
    return SecretRule(
        id=id_,
        title=title,
        severity=severity,
        words=tuple(word.encode() for word in words.split()),
        pattern=re.compile(pattern),
        check=check,
    )


_C, _H, _M = Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM
SECRET_RULES: Final = (
    _rule("secret-aws-access-key", "AWS access key id", _H, "akia asia", rb"(?<![A-Z0-9])(?P<secret>(?:AKIA|ASIA)[A-Z2-7]{16})(?![A-Z0-9])",
          lambda text: b"EXAMPLE" not in text),
    _rule("secret-aws-secret-key", "AWS secret access key", _C, "secret_access_key secretaccesskey aws_secret",
          rb"(?i)aws_?secret_?(?:access_?)?key[\"']?\s{0,8}[:=]\s{0,8}[\"']?(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
          lambda text: entropy(text) >= 4.0 and b"EXAMPLE" not in text),
    _rule("secret-github-token", "GitHub token", _C, "ghp_ gho_ ghu_ ghs_ ghr_", rb"(?<![A-Za-z0-9_])(?P<secret>gh[pousr]_[A-Za-z0-9]{36})(?![A-Za-z0-9])", _github),  # noqa: E501
    _rule("secret-github-fine-grained", "GitHub fine-grained token", _C, "github_pat_", rb"(?P<secret>github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})", _random),
    _rule("secret-gitlab-token", "GitLab token", _C, "glpat- gldt- glrt-", rb"(?<![A-Za-z0-9])(?P<secret>gl(?:pat|dt|rt)-[A-Za-z0-9_-]{20,})", _random),
    _rule("secret-npm-token", "npm token", _C, "npm_", rb"(?<![A-Za-z0-9_])(?P<secret>npm_[A-Za-z0-9]{36})(?![A-Za-z0-9])", _github),
    _rule("secret-pypi-token", "PyPI token", _C, "pypi-age", rb"(?P<secret>pypi-AgE[A-Za-z0-9_-]{50,})", _random),
    _rule("secret-slack-token", "Slack token", _H, "xoxb- xoxp- xoxa- xapp-", rb"(?P<secret>(?:xox[abprs]|xapp)-[0-9A-Za-z-]{20,})", _random),
    _rule("secret-slack-webhook", "Slack webhook", _M, "hooks.slack.com", rb"(?P<secret>hooks\.slack\.com/services/T[A-Z0-9]{8,}/B[A-Z0-9]{8,}/[A-Za-z0-9]{20,})", _random),  # noqa: E501
    _rule("secret-stripe-key", "Stripe live key", _C, "sk_live_ rk_live_", rb"(?<![A-Za-z0-9])(?P<secret>[rs]k_live_[A-Za-z0-9]{20,})", _random),
    _rule("secret-google-api-key", "Google API key", _H, "aiza", rb"(?<![A-Za-z0-9_-])(?P<secret>AIza[A-Za-z0-9_-]{35})(?![A-Za-z0-9_-])", _random),
    _rule("secret-gcp-service-account", "Google service account key", _C, "service_account",
          rb"\"private_key\"\s{0,8}:\s{0,8}\"(?P<secret>-----BEGIN (?:RSA )?PRIVATE KEY-----[^\"]{200,5000})\""),
    _rule("secret-sendgrid-key", "SendGrid key", _H, "sg.", rb"(?<![A-Za-z0-9])(?P<secret>SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})(?![A-Za-z0-9_-])", _random),
    _rule("secret-twilio-key", "Twilio key", _M, "twilio", rb"(?<![A-Za-z0-9])(?P<secret>SK[0-9a-f]{32})(?![A-Za-z0-9])", _random),
    _rule("secret-digitalocean-token", "DigitalOcean token", _C, "dop_v1_ doo_v1_", rb"(?P<secret>do[opr]_v1_[a-f0-9]{64})", _random),
    _rule("secret-hashicorp-vault", "Vault token", _C, "hvs. hvb.", rb"(?<![A-Za-z0-9.])(?P<secret>hv[sb]\.[A-Za-z0-9_-]{24,})", _random),
    _rule("secret-openai-key", "OpenAI key", _H, "sk-proj- t3blbkfj", rb"(?<![A-Za-z0-9])(?P<secret>sk-(?:proj-)?[A-Za-z0-9_-]{20,}T3BlbkFJ[A-Za-z0-9_-]{20,})", _random),  # noqa: E501
    _rule("secret-anthropic-key", "Anthropic key", _H, "sk-ant-", rb"(?<![A-Za-z0-9])(?P<secret>sk-ant-[a-z0-9]{4,8}-[A-Za-z0-9_-]{80,})", _random),
    _rule("secret-huggingface-token", "Hugging Face token", _H, "hf_", rb"(?<![A-Za-z0-9_])(?P<secret>hf_[A-Za-z]{34})(?![A-Za-z0-9])", _random),
    _rule("secret-aliyun-key", "Alibaba Cloud access key id", _H, "ltai", rb"(?<![A-Za-z0-9])(?P<secret>LTAI[A-Za-z0-9]{16,26})(?![A-Za-z0-9])", _random),
    _rule("secret-tencent-key", "Tencent Cloud secret id", _H, "akid", rb"(?<![A-Za-z0-9])(?P<secret>AKID[A-Za-z0-9]{32})(?![A-Za-z0-9])", _random),
    _rule("secret-azure-storage-key", "Azure storage key", _C, "accountkey=", rb"(?i)AccountKey=(?P<secret>[A-Za-z0-9+/]{86}==)", _random),
    _rule("secret-private-key", "Private key", _C, "private", rb"(?P<secret>-----BEGIN (?:RSA |EC |DSA |OPENSSH |ENCRYPTED |PGP )?PRIVATE KEY(?: BLOCK)?-----[^-]{64,20000}-----END)", _pem),  # noqa: E501
    _rule("secret-jwt", "JSON web token", _M, "eyj", rb"(?<![A-Za-z0-9_-])(?P<secret>eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{20,1000})", _jwt),  # noqa: E501
    _rule("secret-url-password", "Password in an address", _H, "://", rb"(?<![A-Za-z0-9])[a-z][a-z0-9+.-]{1,20}://[^/\s:@\"'<>{}$]{1,64}:(?P<secret>[^/\s:@\"'<>{}$%]{6,128})@[A-Za-z0-9.-]{3,}", _password),  # noqa: E501
    _rule("secret-docker-auth", "Registry password", _H, "\"auth\"", rb"\"auth\"\s{0,8}:\s{0,8}\"(?P<secret>[A-Za-z0-9+/]{12,500}={0,2})\"", lambda text: b":" in _decoded(text)),  # noqa: E501
    _rule("secret-assignment", "Password or key in a configuration", _M, "password passwd api_key apikey secret token",
          rb"(?i)(?:^|[\s\"'{,;])[A-Za-z0-9_.-]{0,40}(?:password|passwd|api_?key|secret(?:_key)?|auth_?token|access_?token)[\"']?\s{0,4}[:=]\s{0,4}[\"'](?P<secret>[^\"'\s]{8,128})[\"']",
          lambda text: _password(text) and entropy(text) >= 3.5 and re.search(rb"[0-9]", text) is not None and re.search(rb"[A-Za-z]", text) is not None),
)  # fmt: skip
"""The rules; each has a positive and a negative example in the tests."""


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


_SKIPPED_SUFFIXES: Final = (
    ".so", ".a", ".o", ".pyc", ".class", ".jar", ".war", ".ear", ".zip", ".gz", ".xz", ".bz2", ".zst", ".png", ".jpg", ".jpeg", ".gif", ".ico", ".woff",
    ".woff2", ".ttf", ".otf", ".mo", ".gmo", ".min.js", ".map", ".svg", ".pdf", ".db", ".sqlite", ".whl", ".h", ".hpp", ".rst", ".list", ".md5sums", ".css",
)  # fmt: skip
_SKIPPED_PARTS: Final = (
    "usr/share/", "usr/lib/python3", "usr/lib/x86_64-linux-gnu/", "usr/include/", "var/lib/dpkg/", "lib/apk/db/", "/node_modules/", "/site-packages/",
    "/dist-packages/", "/.git/objects/", "/test/", "/tests/", "/testdata/", "/vendor/", "/gems/",
)  # fmt: skip
_LOCKS: Final = re.compile(r"(?:-lock\.(?:json|yaml)|\.lock|\.sum|lockfile)$")


def inspect_secrets(entry: Entry, content: Callable[[], bytes]) -> Iterator[Issue]:
    """The secrets of one file; what packages ship (libraries, tests, pictures) is left out, because it is the same for everybody."""
    path = entry.path
    if (
        not 8 <= entry.size <= MAX_SECRET_FILE
        or path.endswith(_SKIPPED_SUFFIXES)
        or any(part in "/" + path for part in _SKIPPED_PARTS)
    ):
        return
    if (
        path.startswith(("usr/share/", "usr/lib/", "usr/include/", "var/lib/dpkg/"))
        or _LOCKS.search(path)
        or (entry.executable and entry.size > 1 << 20)
    ):
        return
    data = content()
    if b"\0" in data[:4096]:
        return
    yield from find_secrets(path, data)


def find_secrets(path: str, data: bytes) -> Iterator[Issue]:
    """The secrets in ``data``; each distinct secret of a rule once, at its first line."""
    lowered = data.lower()
    seen: set[bytes] = set()
    for rule in SECRET_RULES:
        if not any(word in lowered for word in rule.words):
            continue
        for count, match in enumerate(rule.pattern.finditer(data)):
            if count >= 1000:
                break
            secret = match["secret"]
            if secret in seen or (rule.check is not None and not rule.check(secret)):
                continue
            seen.add(secret)
            yield Issue(
                kind="secret",
                rule=rule.id,
                title=rule.title,
                severity=rule.severity,
                path=path,
                line=data.count(b"\n", 0, match.start("secret")) + 1,
                text=mask(secret),
                digest=hashlib.sha256(b"phalanx secret\0" + secret).hexdigest(),
                advice=rule.advice,
            )


def mask(secret: bytes) -> str:
    """What may be shown of a secret: at most its first four characters, never more than a fifth, and its length."""
    shown = secret[: min(4, len(secret) // 5)].decode("ascii", "replace")
    return f"{shown}… ({len(secret)} characters)"
