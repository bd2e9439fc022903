"""Verifies a Tallystick evidence file offline: python3 verifier.py FILE.evidence.json policy.txt

A second verifier, written from formats.md and the C2SP specifications alone, in Python 3.11 without other libraries.
Prints what it established and exits 0; or names the step that failed and exits 1; or 2 where it cannot read a file. It
does not know ML-DSA-44: such signature lines are ignored as a stranger's, and it says so where that decides."""
import base64, contextlib, functools, hashlib, json, re, sys, time
class Refused(Exception): pass  # its message begins with the name of the step
@contextlib.contextmanager
def step(name):
    try: yield
    except (ValueError, LookupError, TypeError, RecursionError) as error: raise Refused(f"{name}: {error}") from error
def need(holds, otherwise):
    if not holds: raise ValueError(otherwise)
def sha256(*parts): return hashlib.sha256(b"".join(parts)).digest()
def from_base64(text, sizes=range(1, 2**20)):
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data).decode() == text and len(data) in sizes, f"not base64, or of another length: {text[:60]!r}")
    return data
def from_decimal(text):
    need(re.fullmatch("0|[1-9][0-9]{0,15}", text) and int(text) < 2**53, f"not a decimal number: {text!r}")
    return int(text)

# Ed25519 (RFC 8032 §5.1), in extended coordinates X, Y, Z, T with x = X/Z, y = Y/Z and xy = T/Z.
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, ROOT_OF_MINUS_1 = -121665 * pow(121666, -1, P) % P, pow(2, (P - 1) // 4, P)
def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    return (b - a) * (d - c) % P, (d + c) * (b + a) % P, (d - c) * (d + c) % P, (b - a) * (b + a) % P
def multiply(n, p):
    if n == 0: return 0, 1, 1, 0
    half = multiply(n // 2, add(p, p))
    return add(half, p) if n % 2 else half
def decode_point(data):
    sign, y = divmod(int.from_bytes(data, "little"), 2**255)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square: x = x * ROOT_OF_MINUS_1 % P
    need(y < P and x * x % P == square and (x or not sign), "not a point in its one encoding")
    return (x := P - x if x % 2 != sign else x), y, 1, x * y % P
BASE = decode_point(b"\x58" + 31 * b"\x66")
@functools.cache
def verifies(key, message, signature):
    try: a = decode_point(key)
    except ValueError: return False
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= L or multiply(8, a)[0] == 0: return False  # the last: a key of small order
    k = int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L
    x, y, z, _ = add(multiply(s, BASE), multiply(k, (P - a[0], a[1], 1, P - a[3])))
    return r == (y * pow(z, -1, P) % P | x * pow(z, -1, P) % P % 2 << 255).to_bytes(32, "little")

def decode_cbor(data):
    value, end = decode_item(data, 0, 0)
    need(end == len(data), "bytes after the CBOR item")
    return value
def decode_item(data, at, depth):
    need(at < len(data), "CBOR is cut off")
    major, n, at = data[at] >> 5, data[at] & 31, at + 1
    need(major != 6 and (n < 28 if major < 7 else 20 <= n <= 22), "something of CBOR that is not taken")
    if major == 7: return (False, True, None)[n - 20], at
    if n >= 24:
        width = 1 << (n - 24)
        at, n = at + width, int.from_bytes(data[at : at + width], "big")
        need(at <= len(data) and n >= (24 if width == 1 else 256 ** (width // 2)), "a CBOR integer is not in its shortest form")
    need(n < 2**53 - (major == 1), "a CBOR integer is too large")
    if major < 2: return (n, -1 - n)[major], at
    if major < 4:
        need(at + n <= len(data), "CBOR is cut off")
        return (data[at : at + n] if major == 2 else data[at : at + n].decode()), at + n
    need(depth < 8, "CBOR is nested too deeply")
    values, starts = [], []
    for _ in range(n if major == 4 else 2 * n):
        starts.append(at)
        value, at = decode_item(data, at, depth + 1)
        values.append(value)
    if major == 4: return values, at
    keys = [data[start:end] for start, end in zip(starts[::2], starts[1::2])]
    need(all(key[0] >> 5 == 3 for key in keys) and all(map(bytes.__lt__, keys, keys[1:])), "a CBOR map has its keys wrong")
    return dict(zip(values[::2], values[1::2])), at

def fits(value, shape):  # text by its pattern, bytes by their length, integers by their range, fixed arrays, lists, maps
    match shape:
        case str(): return isinstance(value, str) and re.fullmatch(shape, value, re.DOTALL)
        case int(): return isinstance(value, bytes) and len(value) == shape
        case range(): return type(value) is int and value in shape
        case tuple(): return isinstance(value, list) and len(value) == len(shape) and all(map(fits, value, shape))
        case [inner]: return isinstance(value, list) and value and all(fits(each, inner) for each in value)
        case dict():
            inner, required = {key.rstrip("?"): shape[key] for key in shape}, {key for key in shape if not key.endswith("?")}
            return isinstance(value, dict) and value and required <= value.keys() <= inner.keys() and all(fits(value[key], inner[key]) for key in value)
        case _: return value is None if shape is None else shape(value)
ONE, INTEGER, TEXT, CLASS = range(1, 2), range(2**53), ".*", "[a-z0-9-]{1,32}"
EVENT = {"id": lambda v: fits(v, 16) and v[6] >> 4 == 7 and v[8] >> 6 == 2, "time": range(631_152_000_000, 253_402_300_800_000),
    "type": r"[^.]+(\.[^.]+)+", "outcome": "success|failure|denied|unknown", "actor?": {"type": TEXT, "id": TEXT, "name?": TEXT},
    "session?": {"id": 32}, "targets?": [{"type": TEXT, "id": TEXT, "name?": TEXT}], "tenant?": TEXT,
    "subject?": {"id": TEXT, "type?": TEXT, "name?": TEXT}, "source?": {"ip?": TEXT, "userAgent?": TEXT, "device?": TEXT},
    "auth?": {"method?": TEXT, "factors?": [TEXT], "provider?": TEXT}, "reason?": TEXT, "operation?": TEXT,
    "retention?": CLASS, "amends?": 32, "context?": lambda v: isinstance(v, dict) and json.dumps(v)}  # TypeError where bytes
CHAIN = lambda v: v is None or fits(v, (16, range(1), None)) or fits(v, (16, INTEGER[1:], INTEGER))
def decode_leaf(data):
    _, logged_at, _, sequence, retention, commitment, session, *_, signature = leaf = decode_cbor(data)
    need(fits(leaf, (ONE, INTEGER, 48 if sequence == 1 else 16, sequence if sequence is None else INTEGER[1:], CLASS, 32, CHAIN, CHAIN,
        CHAIN, CHAIN, signature if signature is None else (range(1, min(1000, sequence or 0) + 1), 64))), "not a leaf of version 1")
    return logged_at, retention, commitment, session
ED25519, COSIGNATURE, ML_DSA = 1, 4, 6  # the byte before the key
def parse_vkey(text, types, others):
    name, key_id, key = text.split(b"+", 2)
    key = from_base64(key.decode(), (33, 1313))
    need(re.fullmatch(r"\S+", name.decode()) and sha256(name, b"\n", key)[:4].hex().encode() == key_id, "the key ID is not the key's")
    need(key[0] in types and len(key) == (1313 if key[0] == ML_DSA else 33) and all(key[1:] != other[1:] for _, other in others),
        "not a key for this line, or there twice")
    return name.decode(), key
def parse_policy(data):
    need(re.fullmatch(rb"[\t\n\x20-\x7e\x80-\xff]*", data), "a control character")
    logs, witnesses, groups, quorums, free = {}, {}, {b"none": (0, [])}, [], set()  # free: may become a member
    for line in data.split(b"\n"):
        match line.split():
            case words if not words or words[0].startswith(b"#"): pass
            case [b"log", vkey] | [b"log", vkey, _]: logs[parse_vkey(vkey, (ED25519, ML_DSA), logs)] = True
            case [b"witness", name, vkey] | [b"witness", name, vkey, _] if name not in groups:
                witnesses[parse_vkey(vkey, (COSIGNATURE, ML_DSA), witnesses)] = name
                groups[name], free = (1, []), free | {name}
            case [b"group", name, k, *members] if name not in groups and len(set(members)) == len(members) and free.issuperset(members):
                groups[name], free = ({b"any": 1, b"all": len(members)}.get(k) or from_decimal(k.decode()), members), free - set(members) | {name}
                need(1 <= groups[name][0] <= len(members), f"{name!r} asks for none of its members, or for more than it has")
            case [b"quorum", name] if name in groups: quorums.append(name)
            case _: raise ValueError(f"not a line of a policy, or a name that is wrong here: {line[:60]!r}")
    need(len(quorums) == 1, "not exactly one quorum")
    return logs, witnesses, groups, quorums[0]
def is_met(groups, name, signed): return name in signed or groups[name][0] <= sum(is_met(groups, member, signed) for member in groups[name][1])

def parse_evidence(data):
    file = json.loads(data.decode(), object_pairs_hook=lambda pairs: dict(pairs) if len(dict(pairs)) == len(pairs) else None) if data.lstrip()[:1] == b"{" else None
    need(fits(file, {"format": "tallystick/evidence@1", "proof": TEXT, "opening": TEXT}), "not an evidence file, as receipt --evidence writes it (a .tlog-proof is none), or a member twice")
    return file["proof"], from_base64(file["opening"])
def parse_receipt(receipt):
    head, _, note = receipt.partition("\n\n")
    proof = re.fullmatch(r"c2sp\.org/tlog-proof@v1\n(?:extra (.+)\n)?index (.*)((?:\n.+){0,63})", head)
    text, _, tail = note.rpartition("\n\n")
    origin, size, root, *extensions = text.split("\n")
    lines = [re.fullmatch(r"— ([^\s+]+) (\S+)", line) for line in tail.removesuffix("\n").split("\n")]
    need(proof and origin and all(extensions) and tail.endswith("\n") and len(lines) <= 64 and all(lines), "not the lines of a receipt")
    index, size, hashes = from_decimal(proof[2]), from_decimal(size), [from_base64(line, (32,)) for line in proof[3].split("\n")[1:]]
    need(index < size and not re.search(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]", note), "not below the size, or a control character")
    signatures = [(line[1], from_base64(line[2], range(5, 2**20))) for line in lines]
    return from_base64(proof[1]) if proof[1] else b"", index, hashes, f"{text}\n".encode(), origin, size, from_base64(root, (32,)), signatures
def root_by_inclusion(index, size, hash, hashes):  # RFC 6962 §2.1.1, its recursion read from the root down
    need((size > 1) == bool(hashes), "the proof is too long, or too short")
    if size == 1: return hash
    left = 1 << (size - 1).bit_length() - 1
    if index < left: return sha256(b"\1", root_by_inclusion(index, left, hash, hashes[:-1]), hashes[-1])
    return sha256(b"\1", hashes[-1], root_by_inclusion(index - left, size - left, hash, hashes[:-1]))
def seconds_of(signature): return int.from_bytes(signature[:8], "big")
def holds(key, text, signature):
    if key[0] == ED25519: return verifies(key[1:], text, signature)
    return seconds_of(signature) < 2**63 and verifies(key[1:], b"cosignature/v1\ntime %d\n%s" % (seconds_of(signature), text), signature[8:])

def verify(evidence, policy):
    """Takes the bytes of both files. Returns what was established, for people to read, or raises Refused."""
    with step("policy"): logs, witnesses, groups, quorum = parse_policy(policy)
    with step("evidence"): proof, opening = parse_evidence(evidence)
    with step("format"): leaf, index, hashes, text, origin, size, root, signatures = parse_receipt(proof)
    with step("leaf"): logged_at, retention, commitment, session = decode_leaf(leaf)
    with step("commitment"):
        version, salt, encoded = opening = decode_cbor(opening)
        need(fits(opening, (ONE, 32, len(encoded))) and 1 <= len(encoded) <= 32768, "not an opening")
        need(sha256(b"tallystick/event/v1\0", salt, encoded) == commitment, "the leaf commits to another event, or salt")
        need(fits(event := decode_cbor(encoded), EVENT), "not an event")
    with step("as-sent"):
        tag = sha256(b"tallystick/session/v1\0", event["session"]["id"])[:16] if "session" in event else None
        need([retention, tag] == [event.get("retention", event["type"].split(".")[0]), session and session[0]], "another class or session tag")
    known = [((name, key), line[4:]) for name, line in signatures for who, key in logs | witnesses
        if who == name and sha256(name.encode(), b"\n", key)[:4] == line[:4]]
    read = [(one, signature) for one, signature in known if one[1][0] != ML_DSA]
    all_hold = all(holds(key, text, signature) for (_, key), signature in read)
    log_signed = lambda lines: any(one in logs and one[0] == origin for one, _ in lines)
    met_by = lambda lines: is_met(groups, quorum, {witnesses[one] for one, _ in lines if one in witnesses})
    timely = [(one, signature) for one, signature in read if one in witnesses and logged_at <= seconds_of(signature) * 1000 + 300_000]
    hint = "; it may hold with the ML-DSA-44 signatures, which this program ignores"
    with step("time"):  # of cosignatures that hold; where one does not, a later step refuses
        need(met_by(timely) or not (all_hold and log_signed(read) and met_by(read)), "logged over 5 minutes after cosignatures of the quorum")
    with step("inclusion"): need(root == root_by_inclusion(index, size, sha256(b"\0", leaf), hashes), "the proof leads to another root")
    with step("log-signature"):
        need(all_hold, "a signature of a key of the policy does not hold")
        need(log_signed(read), f"no log of the policy signed this as {origin!r}" + hint * log_signed(known))
    with step("quorum"): need(met_by(timely), "too few witnesses cosigned" + hint * met_by(known))
    by, times = {witnesses[one].decode(errors="replace") for one, _ in timely}, [seconds_of(signature) for _, signature in timely]
    show, utc = lambda text: json.dumps(text)[1:-1], lambda seconds: time.strftime("%FT%TZ", time.gmtime(min(seconds, 2**37)))
    actor = f" by {show(event['actor']['type'])}:{show(event['actor']['id'])}" if "actor" in event else ""
    return (f"{'LOG-ONLY' if quorum == b'none' else 'VERIFIED'}  {show(event['type'])} {event['outcome']}{actor}\n"
        f"  in log   {show(origin)}, index {index} of {size}, root {base64.b64encode(root).decode()}\n"
        f"  time     logged {utc(logged_at // 1000)}{f', witnessed {utc(min(times))}' if times else ''}\n"
        f"  signed   by the log; witnesses: {', '.join(map(show, sorted(by))) or 'none'}")

if __name__ == "__main__":
    try: evidence, policy = (open(name, "rb").read() for name in sys.argv[1:])
    except (OSError, ValueError) as error: sys.exit(print(f"usage: verifier.py FILE.evidence.json policy.txt ({error})", file=sys.stderr) or 2)
    try: print(verify(evidence, policy))
    except Refused as refused: sys.exit(print(f"REFUTED  {refused}") or 1)
