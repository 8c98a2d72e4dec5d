"""Refuses whoever Leaver has revoked: follows leaver.revocations.v1 and answers a proxy's forward-auth.

    GET /check   200, or 401 and why. Headers: those of NAMES, and X-Auth-Time, the token's auth_time or iat.
    GET /ready   200.     Either: 503 until the topic is read to its end, and while more may have come than is known.

The proxy sets the headers from a token that it has verified. It must never pass on what a client sent under these names.
"""

import hashlib, hmac, json, os, sys, threading, time
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

TOPIC = os.environ.get("TOPIC", "leaver.revocations.v1")
KAFKA = {"bootstrap.servers": "127.0.0.1:9092", **json.loads(os.environ.get("KAFKA", "{}"))}  # settings of librdkafka
HOST, PORT = os.environ.get("LISTEN", "127.0.0.1:8490").rsplit(":", 1)
NAMES = os.environ.get("NAMES", "corp_sub:X-Corp-Sub").split()  # name in publish.subjects, header, and perhaps `hmac`
KEY = os.environ["PUBLISH_KEY"].encode() if ":hmac" in " ".join(NAMES) else b""  # publish.hmac_key
SCOPES = {"*", os.environ.get("SCOPE", "*")}  # everywhere, and what Leaver calls this place if it is a downstream
SKEW = float(os.environ.get("SKEW", "1"))  # how far the clocks of Leaver and of the issuer may be apart, in seconds
MAX_STALENESS = float(os.environ.get("MAX_STALENESS", "30"))


class Revocations:
    """The topic as it stands: of each subject the record of the highest revision, found by any of its names."""

    def __init__(self):
        self.lock, self.records, self.found, self.fresh_at = threading.Lock(), {}, {}, float("-inf")

    def take(self, subject, record):
        with self.lock:
            known = self.records.get(subject)
            if known and record and record["revision"] <= known["revision"]:
                return  # a duplicate, or overtaken
            for name in names(known):
                self.found[name].discard(subject)
            self.records[subject] = record
            for name in names(record):
                self.found.setdefault(name, set()).add(subject)

    def of(self, name):
        with self.lock:
            return [self.records[subject] for subject in self.found.get(name, ())]


def names(record):
    return [(name, value) for name, values in record["subjects"].items() for value in values] if record else []


def forms(header, how):
    """How Leaver may have written what a header says: of what it hides, issuers may keep the case or not."""
    value = header.encode("latin-1").decode()  # Python reads the bytes of headers as Latin-1
    if not how:
        return {value}
    return {hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest() for text in (value, value.lower())}


def seconds(instant):
    return datetime.fromisoformat(instant.replace("Z", "+00:00")).timestamp()


def refusal(record, signed_in):
    """Why somebody who signed in then is refused. What is in force is the join of the scopes."""
    cutoffs = [cutoff for scope, cutoff in record["scopes"].items() if scope in SCOPES]
    states = [(c["state"]["version"], c["state"]["disabled"]) for c in cutoffs if "state" in c]
    if states and max(states)[1]:
        return "disabled"
    locks = [(c["lock"]["at"], c["lock"]["until"] or "") for c in cutoffs if "lock" in c]
    if locks and (until := max(locks)[1]) and time.time() < seconds(until):
        return f"locked until {until}"
    before = max((seconds(c["sessions_before"]) for c in cutoffs if "sessions_before" in c), default=0)
    return "signed in before the cutoff" if signed_in <= before + SKEW else None


def check(revocations, headers):
    try:
        signed_in = float(headers["X-Auth-Time"])
    except (TypeError, ValueError):
        return 401, "X-Auth-Time is missing or no number"
    if not signed_in < time.time() + 300:  # neither is `nan`
        return 401, "X-Auth-Time lies in the future"
    told = [(name, headers[header], how) for name, header, *how in (n.split(":") for n in NAMES) if headers[header]]
    named = [(name, form) for name, value, how in told for form in forms(value, how)]
    records = [record for name in named for record in revocations.of(name)]
    reason = next(filter(None, (refusal(record, signed_in) for record in records)), None)
    return (401, reason or "nobody is named") if reason or not named else (200, "ok")


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        revocations = self.server.revocations
        stale = time.monotonic() - revocations.fresh_at
        if stale > MAX_STALENESS:
            status, reason = 503, "revocations may be missing"
        else:
            status, reason = (200, "ok") if self.path == "/ready" else check(revocations, self.headers)
        self.send_response(status)
        self.send_header("X-Staleness", f"{stale:.1f}")
        self.end_headers()
        self.wfile.write(f"{reason}\n".encode())

    def log_message(self, *_):
        """Says nothing: there is nothing to learn from a request but who made it."""


def follow(revocations):
    """Reads the topic from its beginning, for ever. It joins no group: every subscriber needs every record."""
    reader = Consumer({"group.id": "none", "enable.auto.commit": False, "auto.offset.reset": "earliest",
                       "enable.partition.eof": True, **KAFKA})
    admin, read, ends, asked_at, next_question = AdminClient(KAFKA), {}, {}, 0, 0
    while True:
        if (now := time.monotonic()) > next_question:
            try:
                ends, asked_at = ends_of_topic(reader, admin), now
            except KafkaException as error:
                print(error, file=sys.stderr)  # meanwhile what is known grows stale
                admin = AdminClient(KAFKA)  # the old one would not notice that leaders have changed
            next_question = time.monotonic() + 1
        if ends.keys() - read.keys():
            read = dict.fromkeys(ends, -1)
            reader.assign([TopicPartition(TOPIC, partition, OFFSET_BEGINNING) for partition in read])
        # Whoever has read to where the topic ended knew everything at the moment of the question.
        if ends and all(read[partition] >= end for partition, end in ends.items()):
            revocations.fresh_at = asked_at
        message = reader.poll(0.1)
        if message and not message.error():
            body = message.value()
            revocations.take(message.key().decode(), json.loads(body) if body else None)
            read[message.partition()] = message.offset() + 1
        elif message and message.error().code() == KafkaError._PARTITION_EOF:
            read[message.partition()] = message.offset()


def ends_of_topic(reader, admin):
    partitions = reader.list_topics(TOPIC, timeout=1).topics[TOPIC].partitions
    latest = {TopicPartition(TOPIC, partition): OffsetSpec.latest() for partition in partitions}
    answers = admin.list_offsets(latest, request_timeout=1) if latest else {}
    return {at.partition: answer.result().offset for at, answer in answers.items()}


if __name__ == "__main__":
    server = ThreadingHTTPServer((HOST, int(PORT)), Answer)
    server.revocations = Revocations()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"listening on {HOST}:{server.server_port}", flush=True)
    follow(server.revocations)
