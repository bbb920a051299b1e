// page: a poll trigger that tells when a page has changed, in AssemblyScript.
import { Frame, Out, RETURN, HTTP, READ, DONE, exchange, fail, pass, serve } from "./tappet";
export { abort } from "./tappet";

const MAX_PAGE = 1 << 20;

const spec = `{"name":"page","title":"Page","version":"1.0.0","needs":{"http":["{url}"]},"triggers":[{
"name":"changed","title":"A page changes","kind":"poll","config":{"type":"object","properties":{
"url":{"type":"string","title":"Address","format":"uri"}},"required":["url"],"additionalProperties":false},
"event":{"type":"object","properties":{"hash":{"type":"string"},"bytes":{"type":"integer"}},
"required":["hash","bytes"],"additionalProperties":false},"every":"5m0s"}]}`;

// A Config reads {"url": "…"} and nothing else.
class Config {
  i: i32 = 0; url: string = "";
  constructor(public s: string) {}

  private blank(): void {
    while (this.i < this.s.length && " \n\t\r".includes(this.s.charAt(this.i))) this.i++;
  }

  private has(token: string): bool {
    this.blank();
    if (this.s.substr(this.i, token.length) != token) return false;
    this.i += token.length;
    return true;
  }

  read(): bool {
    if (!this.has("{") || !this.has("\"url\"") || !this.has(":") || !this.has("\"")) return false;
    for (;;) {
      if (this.i >= this.s.length) return false;
      let c = this.s.charAt(this.i++);
      if (c == "\"") break;
      if (c == "\\") {
        c = this.s.charAt(this.i++);
        if (c == "u") {
          let v = 0;
          for (let k = 0; k < 4; k++) {
            const d = "0123456789abcdef".indexOf(this.s.charAt(this.i++).toLowerCase());
            if (d < 0) return false;
            v = v << 4 | d;
          }
          c = String.fromCharCode(v);
        } else if (c != "\"" && c != "\\" && c != "/") return false;
      }
      this.url += c;
    }
    if (!this.has("}")) return false;
    this.blank();
    return this.i == this.s.length;
  }
}

function poll(f: Frame): Out {
  const c = new Config(f.config);
  if (!c.read()) return fail("invalid", "config: an object with the text url is wanted, and nothing else");
  let r = Frame.parse(exchange(new Out(HTTP).str(24, "GET").str(25, c.url)));
  if (r.kind != "") return pass(r);
  const status = r.status, stream = r.stream;
  let sum: u64 = 14695981039346656037, bytes = 0; // FNV-1a
  for (;;) {
    for (let i = 0; i < r.body.length; i++) sum = (sum ^ r.body[i]) * 1099511628211;
    bytes += r.body.length;
    if (!r.more) break;
    const enough = bytes > MAX_PAGE || status != 200;
    r = Frame.parse(exchange(new Out(enough ? DONE : READ).num(21, stream)));
    if (r.kind != "") return pass(r);
    if (enough) break;
  }
  if (status != 200) return fail("unavailable", "the page answered with status " + status.toString());
  if (bytes > MAX_PAGE) return fail("too_large", "the page has more than 1048576 bytes");
  const hash = sum.toString(16).padStart(16, "0");
  const event = new Out(0).str(1, hash).str(2, `{"hash":"${hash}","bytes":${bytes}}`);
  return new Out(RETURN).str(10, hash).bytes(13, event.view());
}

export function _start(): void {
  serve(spec, (f: Frame): Out => {
    if (f.part == "poll" && f.name == "changed") return poll(f);
    return fail("unsupported", "page knows one trigger, changed");
  });
}
