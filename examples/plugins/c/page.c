// page: a poll trigger that tells when a page has changed, in C.
#include "tappet.h"

static const char spec[] =
  "{\"name\":\"page\",\"title\":\"Page\",\"version\":\"1.0.0\",\"needs\":{\"http\":[\"{url}\"]},\"triggers\":[{"
  "\"name\":\"changed\",\"title\":\"A page changes\",\"kind\":\"poll\",\"config\":{\"type\":\"object\",\"properties\":{"
  "\"url\":{\"type\":\"string\",\"title\":\"Address\",\"format\":\"uri\"}},\"required\":[\"url\"],\"additionalProperties\":false},"
  "\"event\":{\"type\":\"object\",\"properties\":{\"hash\":{\"type\":\"string\"},\"bytes\":{\"type\":\"integer\"}},"
  "\"required\":[\"hash\",\"bytes\"],\"additionalProperties\":false},\"every\":\"5m0s\"}]}";

// A frame of the host holds at most one chunk of 64 KiB and a response's header.
static u8 in[512 << 10], out[64 << 10];

enum { MAX_PAGE = 1 << 20 };

// compilers write these calls by themselves
void *memset(void *d, int c, unsigned long n) { for (u8 *p = d; n--;) *p++ = c; return d; }
void *memcpy(void *d, const void *s, unsigned long n) { u8 *p = d; for (const u8 *q = s; n--;) *p++ = *q++; return d; }

static int is(tp_bytes b, const char *s) {
  u32 i = 0;
  for (; i < b.n && s[i] == b.p[i]; i++) if (!s[i]) return 0;
  return i == b.n && !s[i];
}

// ask sends a frame and reads the reply; what the frame before pointed to is gone.
static void ask(tp_frame *f, tp_buf *o) {
  u32 n = tp_swap(o->p, o->n, in, sizeof in);
  if (n == 0 || n > sizeof in) __builtin_trap();
  tp_parse(f, in, n);
}

static void fail(tp_buf *o, const char *kind, u32 kn, const char *text, u32 n) {
  o->n = 0;
  tp_num(o, 1, TP_RETURN);
  tp_str(o, 7, kind, kn);
  tp_str(o, 6, text, n);
}
#define FAIL(o, kind, text) fail(o, kind, sizeof(kind) - 1, text, sizeof(text) - 1)

static int hexdigit(u8 c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// url reads a config, {"url": "…"} and nothing else, and gives the length of
// what it wrote to u, or -1.
static int url(tp_bytes c, u8 *u, u32 cap) {
  static const char head[] = {'{', '"', 'u', 'r', 'l', '"', ':', '"'};
  u32 i = 0, n = 0;
#define WS while (i < c.n && (c.p[i] == ' ' || c.p[i] == '\n' || c.p[i] == '\t' || c.p[i] == '\r')) i++
  for (u32 h = 0; h < sizeof head; h++) {
    if (h < 2 || h > 5) WS;
    if (i >= c.n || c.p[i++] != head[h]) return -1;
  }
  for (;;) {
    if (i >= c.n || n + 3 > cap) return -1;
    u8 x = c.p[i++];
    if (x == '"') break;
    if (x != '\\') { u[n++] = x; continue; }
    if (i >= c.n) return -1;
    x = c.p[i++];
    if (x == '"' || x == '\\' || x == '/') { u[n++] = x; continue; }
    if (x != 'u' || i + 4 > c.n) return -1;
    u32 r = 0;
    for (int k = 0; k < 4; k++) {
      int d = hexdigit(c.p[i++]);
      if (d < 0) return -1;
      r = r << 4 | d;
    }
    if (r < 0x80) u[n++] = r;
    else if (r < 0x800) { u[n++] = 0xC0 | r >> 6; u[n++] = 0x80 | (r & 63); }
    else if (r >= 0xD800 && r < 0xE000) return -1;
    else { u[n++] = 0xE0 | r >> 12; u[n++] = 0x80 | (r >> 6 & 63); u[n++] = 0x80 | (r & 63); }
  }
  WS;
  if (i >= c.n || c.p[i++] != '}') return -1;
  WS;
  return i == c.n ? (int)n : -1;
}

// pass hands a failure of the host on, so that its kind is kept. The texts are
// in the buffer in, which isn't touched before the next ask.
static void pass(tp_buf *o, tp_frame *f) {
  o->n = 0;
  tp_num(o, 1, TP_RETURN);
  tp_str(o, 7, f->kind.p, f->kind.n);
  tp_str(o, 6, f->text.p, f->text.n > 1024 ? 1024 : f->text.n);
  tp_num(o, 14, f->millis);
}

static void poll(tp_frame *f, tp_buf *o) {
  u8 address[4096], hash[16], event[64];
  int n = url(f->config, address, sizeof address);
  if (n < 0) { FAIL(o, "invalid", "config: an object with the text url is wanted, and nothing else"); return; }
  o->n = 0;
  tp_num(o, 1, TP_HTTP);
  tp_text(o, 24, "GET");
  tp_str(o, 25, address, n);
  ask(f, o);
  if (f->kind.n) { pass(o, f); return; }
  u32 status = f->status, bytes = 0;
  u64 sum = 14695981039346656037u, stream = f->stream; // FNV-1a
  for (;;) {
    for (u32 i = 0; i < f->body.n; i++) sum = (sum ^ f->body.p[i]) * 1099511628211u;
    bytes += f->body.n;
    if (!f->more) break;
    o->n = 0;
    tp_num(o, 1, bytes > MAX_PAGE || status != 200 ? TP_DONE : TP_READ);
    tp_num(o, 21, stream);
    ask(f, o);
    if (f->kind.n) { pass(o, f); return; }
    if (bytes > MAX_PAGE || status != 200) break;
  }
  if (status != 200) { FAIL(o, "unavailable", "the page did not answer with status 200"); return; }
  if (bytes > MAX_PAGE) { FAIL(o, "too_large", "the page has more than 1048576 bytes"); return; }
  for (int i = 0; i < 16; i++) hash[i] = "0123456789abcdef"[sum >> (60 - 4 * i) & 15];
  tp_buf e = {event, 0};
  for (const char *s = "{\"hash\":\""; *s;) event[e.n++] = *s++;
  for (int i = 0; i < 16; i++) event[e.n++] = hash[i];
  for (const char *s = "\",\"bytes\":"; *s;) event[e.n++] = *s++;
  u8 digits[10];
  int d = 0;
  do digits[d++] = '0' + bytes % 10; while (bytes /= 10);
  while (d) event[e.n++] = digits[--d];
  event[e.n++] = '}';
  o->n = 0;
  tp_num(o, 1, TP_RETURN);
  tp_str(o, 10, hash, 16); // the cursor
  u8 message[128];
  tp_buf m = {message, 0};
  tp_str(&m, 1, hash, 16);
  tp_str(&m, 2, event, e.n);
  tp_str(o, 13, message, m.n);
}

__attribute__((export_name("_start"))) void _start(void) {
  tp_buf o = {out, 0};
  tp_frame f;
  tp_num(&o, 1, TP_READY);
  tp_num(&o, 2, 1);
  for (u32 n; (n = tp_swap(out, o.n, in, sizeof in));) {
    if (n > sizeof in) __builtin_trap();
    tp_parse(&f, in, n);
    if (f.op == TP_CALL && is(f.part, "poll") && is(f.name, "changed")) {
      poll(&f, &o);
    } else if (f.op == TP_DESCRIBE) {
      o.n = 0;
      tp_num(&o, 1, TP_RETURN);
      tp_num(&o, 2, 1);
      tp_text(&o, 9, spec);
    } else {
      FAIL(&o, "unsupported", "page knows one trigger, changed");
    }
  }
}
