// tappet.h: the C binding of ABI version 1 (docs/abi.md); no libc, no malloc.
#include <stdint.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

__attribute__((import_module("tappet_1"), import_name("swap"))) u32 tp_swap(const void *in, u32 n, void *out, u32 cap);

enum { TP_DESCRIBE = 1, TP_CALL = 2, TP_READY = 64, TP_RETURN = 65, TP_HTTP = 66, TP_READ = 68, TP_DONE = 69 };

// A tp_bytes is a view of the buffer that a frame was parsed from.
typedef struct { const u8 *p; u32 n; } tp_bytes;

// A tp_frame holds those fields that the guest looks at.
typedef struct {
  u32 op, status, more;
  u64 millis, stream;
  tp_bytes part, name, text, kind, config, body, cursor;
} tp_frame;

// A tp_buf is written to at n; whoever makes it knows that it is large enough.
typedef struct { u8 *p; u32 n; } tp_buf;

static u64 tp_uvarint(const u8 **p, const u8 *end) {
  u64 v = 0;
  for (int s = 0; *p < end && s < 64; s += 7) {
    u8 c = *(*p)++;
    v |= (u64)(c & 127) << s;
    if (c < 128) break;
  }
  return v;
}

static void tp_parse(tp_frame *f, const u8 *p, u32 n) {
  const u8 *end = p + n;
  *f = (tp_frame){0};
  while (p < end) {
    u64 tag = tp_uvarint(&p, end), v;
    switch (tag & 7) {
    case 0:
      v = tp_uvarint(&p, end);
      switch (tag >> 3) {
      case 1: f->op = v; break;
      case 14: f->millis = v; break;
      case 15: f->status = v; break;
      case 16: f->more = v; break;
      case 21: f->stream = v; break;
      }
      break;
    case 2:
      v = tp_uvarint(&p, end);
      if (v > (u64)(end - p)) return;
      tp_bytes b = {p, v};
      switch (tag >> 3) {
      case 4: f->part = b; break;
      case 5: f->name = b; break;
      case 6: f->text = b; break;
      case 7: f->kind = b; break;
      case 8: f->config = b; break;
      case 9: f->body = b; break;
      case 10: f->cursor = b; break;
      }
      p += v;
      break;
    case 1: p += 8; break;
    case 5: p += 4; break;
    default: return;
    }
  }
}

static void tp_put(tp_buf *b, u64 v) {
  for (; v > 127; v >>= 7) b->p[b->n++] = v | 128;
  b->p[b->n++] = v;
}

static void tp_num(tp_buf *b, u32 field, u64 v) {
  tp_put(b, field << 3);
  tp_put(b, v);
}

static void tp_str(tp_buf *b, u32 field, const void *s, u32 n) {
  tp_put(b, field << 3 | 2);
  tp_put(b, n);
  for (u32 i = 0; i < n; i++) b->p[b->n++] = ((const u8 *)s)[i];
}

#define tp_text(b, field, s) tp_str(b, field, s, sizeof(s) - 1)
