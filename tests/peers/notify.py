"""A mail server (aiosmtpd) and a web server that people are told by.

usage: notify.py CERTIFICATE KEY

Serves SMTP with STARTTLS and a login (kim, secret), the same under TLS from the first byte, SMTP in the clear without a login, and
HTTP, each on a port of its own choice. Writes one JSON object a
line: first the ports, then what arrives. The mail server refuses the first message to `later@example.com` for the
moment (451); the web server answers 503 to the first request to `/later` and 404 to `/never`.
"""

import asyncio
import json
import ssl
import sys
import threading
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.smtp import SMTP, AuthResult

lock = threading.Lock()
seen = set()


def say(what):
    with lock:
        print(json.dumps(what), flush=True)


def first(what):
    with lock:
        new = what not in seen
        seen.add(what)
        return new


class Mail:
    async def handle_DATA(self, server, session, envelope):
        if "later@example.com" in envelope.rcpt_tos and first("mail"):
            say({"way": "mail", "refused": 451})
            return "451 4.3.0 later"
        message = message_from_bytes(envelope.content, policy=policy.default)
        say({
            "way": "mail", "from": envelope.mail_from, "to": envelope.rcpt_tos, "subject": message["subject"],
            "headerFrom": message["from"], "body": message.get_content(), "tls": session.ssl is not None,
            "user": session.auth_data and session.auth_data.login.decode(),
        })
        return "250 OK"


def login(server, session, envelope, mechanism, data):
    # What is not handled here is answered by the server: 235 or 535.
    return AuthResult(success=data.login == b"kim" and data.password == b"secret", handled=False, auth_data=data)


def protocol():
    return SMTP(Mail(), tls_context=context, require_starttls=True, authenticator=login, auth_required=True,
                enable_SMTPUTF8=True, hostname="localhost", loop=loop)


def wrapped():
    # TLS is there already, so the server itself knows nothing of it.
    return SMTP(Mail(), authenticator=login, auth_required=True, auth_require_tls=False,
                enable_SMTPUTF8=True, hostname="localhost", loop=loop)


def clear():
    return SMTP(Mail(), enable_SMTPUTF8=True, hostname="localhost", loop=loop)


class Web(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = 404 if self.path == "/never" else 503 if self.path == "/later" and first("web") else 200
        say({
            "way": "webhook", "path": self.path, "status": status, "type": self.headers["Content-Type"],
            "authorization": self.headers["Authorization"], "json": json.loads(body),
        })
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(sys.argv[1], sys.argv[2])
loop = asyncio.new_event_loop()
mail = loop.run_until_complete(loop.create_server(protocol, "127.0.0.1", 0))
implicit = loop.run_until_complete(loop.create_server(wrapped, "127.0.0.1", 0, ssl=context))
plain = loop.run_until_complete(loop.create_server(clear, "127.0.0.1", 0))
threading.Thread(target=loop.run_forever, daemon=True).start()
web = ThreadingHTTPServer(("127.0.0.1", 0), Web)
secure = ThreadingHTTPServer(("127.0.0.1", 0), Web)
secure.socket = context.wrap_socket(secure.socket, server_side=True)
for server in (web, secure):
    threading.Thread(target=server.serve_forever, daemon=True).start()
mails = {"mail": mail, "implicit": implicit, "clear": plain}
ports = {name: server.sockets[0].getsockname()[1] for name, server in mails.items()}
ports |= {"web": web.server_port, "secure": secure.server_port}
say(ports)
sys.stdin.read()
