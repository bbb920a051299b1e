// tappet.ts: the AssemblyScript binding of ABI version 1 (docs/abi.md).
@external("tappet_1", "swap") declare function swap(inp: usize, n: u32, out: usize, cap: u32): u32;
@external("tappet_1", "take") declare function take(out: usize, cap: u32): u32;

export const DESCRIBE: u32 = 1, CALL: u32 = 2, READY: u32 = 64, RETURN: u32 = 65, HTTP: u32 = 66, READ: u32 = 68, DONE: u32 = 69;

// A Frame holds those fields that the guest looks at.
export class Frame {
  op: u32 = 0; status: u32 = 0; more: bool = false;
  millis: u64 = 0; stream: u64 = 0;
  part: string = ""; name: string = ""; text: string = ""; kind: string = ""; config: string = ""; cursor: string = "";
  body: Uint8Array = new Uint8Array(0);

  static parse(b: Uint8Array): Frame {
    const f = new Frame(), r = new Reader(b);
    while (r.i < b.length) {
      const tag = r.uvarint(), n = <u32>(tag >> 3), wire = <u32>(tag & 7);
      if (wire == 1) { r.i += 8; continue; }
      if (wire == 5) { r.i += 4; continue; }
      const v = r.uvarint();
      if (wire == 0) {
        if (n == 1) f.op = <u32>v;
        else if (n == 14) f.millis = v;
        else if (n == 15) f.status = <u32>v;
        else if (n == 16) f.more = v != 0;
        else if (n == 21) f.stream = v;
        continue;
      }
      if (wire != 2 || v > <u64>(b.length - r.i)) unreachable();
      const s = b.subarray(r.i, r.i + <i32>v);
      r.i += <i32>v;
      if (n == 4) f.part = text(s);
      else if (n == 5) f.name = text(s);
      else if (n == 6) f.text = text(s);
      else if (n == 7) f.kind = text(s);
      else if (n == 8) f.config = text(s);
      else if (n == 9) f.body = s;
      else if (n == 10) f.cursor = text(s);
    }
    return f;
  }
}

class Reader {
  i: i32 = 0;
  constructor(public b: Uint8Array) {}
  uvarint(): u64 {
    let v: u64 = 0;
    for (let s: u64 = 0; s < 64 && this.i < this.b.length; s += 7) {
      const c = this.b[this.i++];
      v |= <u64>(c & 127) << s;
      if (c < 128) break;
    }
    return v;
  }
}

function text(b: Uint8Array): string { return String.UTF8.decodeUnsafe(b.dataStart, b.length); }

// An Out is a frame, or a message of one, that is being written.
export class Out {
  b: Uint8Array = new Uint8Array(1024); n: i32 = 0;

  constructor(op: u32) { if (op != 0) this.num(1, op); }

  private room(k: i32): void {
    if (this.n + k <= this.b.length) return;
    const c = new Uint8Array(max(this.b.length * 2, this.n + k));
    memory.copy(c.dataStart, this.b.dataStart, this.n);
    this.b = c;
  }

  private put(v: u64): void {
    this.room(10);
    for (; v > 127; v >>= 7) this.b[this.n++] = <u8>(v | 128);
    this.b[this.n++] = <u8>v;
  }

  num(field: u32, v: u64): Out { this.put(field << 3); this.put(v); return this; }

  bytes(field: u32, s: Uint8Array): Out {
    this.put(field << 3 | 2);
    this.put(s.length);
    this.room(s.length);
    memory.copy(this.b.dataStart + this.n, s.dataStart, s.length);
    this.n += s.length;
    return this;
  }

  str(field: u32, s: string): Out { return this.bytes(field, Uint8Array.wrap(String.UTF8.encode(s))); }

  view(): Uint8Array { return this.b.subarray(0, this.n); }
}

export function fail(kind: string, why: string): Out { return new Out(RETURN).str(7, kind).str(6, why); }

// pass hands a failure of the host on, so that its kind is kept.
export function pass(f: Frame): Out { return fail(f.kind, f.text).num(14, f.millis); }

let buf = new Uint8Array(1 << 16);

// exchange hands a frame in and gives the next; one without bytes is the end.
export function exchange(o: Out): Uint8Array {
  const n = swap(o.b.dataStart, o.n, buf.dataStart, buf.length);
  if (n > <u32>buf.length) {
    buf = new Uint8Array(n);
    take(buf.dataStart, n);
  }
  return buf.slice(0, n);
}

// serve answers one frame of the engine after the other until there are no more.
export function serve(spec: string, call: (f: Frame) => Out): void {
  let o = new Out(READY).num(2, 1);
  for (;;) {
    const b = exchange(o);
    if (b.length == 0) return;
    const f = Frame.parse(b);
    if (f.op == DESCRIBE) o = new Out(RETURN).num(2, 1).str(9, spec);
    else if (f.op == CALL) o = call(f);
    else o = fail("unsupported", "this plugin knows no op " + f.op.toString());
  }
}

export function abort(m: string | null, f: string | null, l: u32, c: u32): void { unreachable(); }
