"""A receiver of webhooks for e2e scripts: appends "SIGNED EVENT_TYPE HOOK MOVE COMMIT" of
each POST to FOLDER/events and answers with the code in FOLDER/code (200).
Writes its port to FOLDER/port.

usage: receiver.py FOLDER KEY
"""

import hashlib
import hmac
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

folder, key = sys.argv[1], sys.argv[2].encode()


def wanted_code():
    try:
        with open(f"{folder}/code") as file:
            return int(file.read())
    except FileNotFoundError:
        return 200


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        mac = "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
        said = self.headers.get("X-Tidemark-Signature")
        signed = "unsigned" if said is None else "signed" if said == mac else "forged"
        e = json.loads(body)
        with open(f"{folder}/events", "a") as file:
            print(signed, e["event_type"], e["hook_id"], e.get("move"), e["commit_id"], file=file)
        self.send_response(wanted_code())
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


server = HTTPServer(("127.0.0.1", 0), Receiver)
with open(f"{folder}/port.new", "w") as file:
    print(server.server_port, file=file)
os.rename(f"{folder}/port.new", f"{folder}/port")
server.serve_forever()
