"""What a test hands out that no log may show: credentials, tokens, keys; and a look at a log for them."""
import hashlib
import re

KEYS = {"uuid", "token", "password", "server_key", "private_key", "privatekey", "mldsa65seed", "apikey", "psk"}
LEAST = 8  # what is shorter is a word that may stand anywhere

# Of users there may be thousands: theirs are found by their shape, in one pass.
SHAPE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{56}|[0-9a-f]{32}")

_issued = []  # of the whole run, in order


def issue(text):
    """From here on it is a secret, and so are two keys with a colon between; `text`, which need not be any."""
    if isinstance(text, str):
        _issued.extend(part for part in {text, *text.split(":")} if len(part) >= LEAST)
    return text


def issue_all(value):
    """Whatever stands under one of KEYS in something like JSON; `value`."""
    if isinstance(value, dict):
        for key, v in value.items():
            if str(key).lower() in KEYS:
                issue(v)
            issue_all(v)
    elif isinstance(value, list):
        for v in value:
            issue_all(v)
    return value


def mark():
    """Where those begin that are issued from now on."""
    return len(_issued)


def _forms(secret):
    """In small letters: itself, without dashes, and what Trojan says of it."""
    low = secret.lower()
    return {low, low.replace("-", ""), hashlib.sha224(secret.encode()).hexdigest()}


def shown(text, since=0):
    """The first line that shows one of those issued since a mark(), or None.  Lines of "$ " are the test's own."""
    lines = [line for line in text.splitlines() if not line.startswith("$ ")]
    secrets = set(_issued[since:])
    shaped, others = {}, []
    for secret in secrets:
        if SHAPE.fullmatch(secret.lower()):
            shaped.update(dict.fromkeys(_forms(secret)))
        else:
            others += [secret, hashlib.sha224(secret.encode()).hexdigest()]
    whole = "\n".join(lines)
    found = shaped.keys() & set(SHAPE.findall(whole.lower())) or {s for s in others if s in whole}
    for line in lines if found else ():
        if any(s in line or s in line.lower() for s in found):
            return line
    return None


__all__ = ["issue", "issue_all", "mark", "shown"]
