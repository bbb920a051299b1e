"""Takes multipart/form-data with werkzeug and answers what it has received as JSON."""
import hashlib
import json
import sys
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

from werkzeug.formparser import FormDataParser


def app(environ, start_response):
    _, form, files = FormDataParser(silent=False).parse_from_environ(environ)
    parts = [{"name": n, "value": v} for n, v in form.items(multi=True)]
    for n, f in files.items(multi=True):
        b = f.read()
        parts.append({"name": n, "filename": f.filename or "", "type": f.mimetype, "size": len(b), "sha256": hashlib.sha256(b).hexdigest()})
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"parts": parts}).encode()]


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


server = make_server("127.0.0.1", 0, app, handler_class=Quiet)
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
