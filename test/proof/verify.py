# verify.py PROOF.json NUMBER [PUBLIC_KEY.pem]
#	  Checks what refundx.journal_proof(NUMBER) gave, with nothing of refundx's: that
#	  its lines are in their seals, those in the days' statements, and these signed.
#	  Without a key: all but the signatures.  The formats are in doc/seals.md.
import base64, hashlib, json, re, subprocess, sys, tempfile

def sha(data): return hashlib.sha256(data).digest()

def read(text):  # NAME=VALUE lines; a text has its length in front
    out, rest = {}, text.encode().split(b"\n", 1)[1]
    while rest:
        name, rest = rest.split(b"=", 1)
        long = re.match(rb"(\d+):", rest)
        start, end = (long.end(), long.end() + int(long[1])) if long else (0, rest.index(b"\n"))
        out[name.decode()], rest = rest[start:end].decode(), rest[end + 1:]
    return out

def root(leaf, path):
    hash = sha(b"\0" + leaf)
    for side, other in path:
        pair = (bytes.fromhex(other), hash) if side == "left" else (hash, bytes.fromhex(other))
        hash = sha(b"\1" + pair[0] + pair[1])
    return hash.hex()

def signed(statement, signature, key):
    with tempfile.NamedTemporaryFile() as s:
        s.write(base64.b64decode(signature)); s.flush()
        return subprocess.run(["openssl", "dgst", "-sha256", "-verify", key, "-signature", s.name],
                              input=statement.encode(), stdout=subprocess.DEVNULL).returncode == 0

for part in json.load(open(sys.argv[1]))["lines"]:
    line = read(part["line"])
    assert line["number"] == sys.argv[2], "a line of another refund"
    assert root(part["line"].encode(), part["path"]) == read(part["seal"])["root"], "not in its seal"
    assert root(sha(part["seal"].encode()), part["day_path"]) == read(part["statement"])["root"], "not in its day"
    good = part["signature"] and len(sys.argv) > 3 and signed(part["statement"], part["signature"], sys.argv[3])
    assert good or len(sys.argv) < 4, "not signed, or not with this key"
    print(line["type"], line["d_available"], line["d_frozen"], line["currency"], "account", line["account"],
          "day", read(part["statement"])["day"], "signed" if good else "unsigned")
