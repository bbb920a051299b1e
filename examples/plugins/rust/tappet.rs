//! The Rust binding of ABI version 1 (docs/abi.md); no crates.

pub const DESCRIBE: u64 = 1;
pub const CALL: u64 = 2;
pub const READY: u64 = 64;
pub const RETURN: u64 = 65;
pub const HTTP: u64 = 66;
pub const READ: u64 = 68;
pub const DONE: u64 = 69;

#[link(wasm_import_module = "tappet_1")]
extern "C" {
    fn swap(input: *const u8, n: usize, out: *mut u8, cap: usize) -> usize;
    fn take(out: *mut u8, cap: usize) -> usize;
}

/// A frame with those fields that the guest looks at or sets; what is empty or
/// zero is left out.
#[derive(Default)]
pub struct Frame {
    pub op: u64,
    pub abi: u64,
    pub part: String,
    pub name: String,
    pub text: String,
    pub kind: String,
    pub config: Vec<u8>,
    pub body: Vec<u8>,
    pub cursor: String,
    pub events: Vec<(String, String)>,
    pub millis: u64,
    pub status: u64,
    pub more: bool,
    pub stream: u64,
    pub method: String,
    pub url: String,
}

fn put(b: &mut Vec<u8>, mut v: u64) {
    while v > 127 {
        b.push(v as u8 | 128);
        v >>= 7;
    }
    b.push(v as u8);
}

fn num(b: &mut Vec<u8>, field: u64, v: u64) {
    if v != 0 {
        put(b, field << 3);
        put(b, v);
    }
}

fn bytes(b: &mut Vec<u8>, field: u64, v: &[u8]) {
    if !v.is_empty() {
        put(b, field << 3 | 2);
        put(b, v.len() as u64);
        b.extend_from_slice(v);
    }
}

/// varint reads a number off the front of p; None if p ends before it does.
fn varint(p: &mut &[u8]) -> Option<u64> {
    let mut v = 0;
    for shift in (0..64).step_by(7) {
        let (&c, rest) = p.split_first()?;
        *p = rest;
        v |= ((c & 127) as u64) << shift;
        if c < 128 {
            return Some(v);
        }
    }
    None
}

fn cut<'a>(p: &mut &'a [u8], n: u64) -> Option<&'a [u8]> {
    if n > p.len() as u64 {
        return None;
    }
    let (head, rest) = p.split_at(n as usize);
    *p = rest;
    Some(head)
}

fn text(b: &[u8]) -> String {
    String::from_utf8_lossy(b).into_owned()
}

impl Frame {
    fn write(&self) -> Vec<u8> {
        let mut b = Vec::with_capacity(256);
        num(&mut b, 1, self.op);
        num(&mut b, 2, self.abi);
        bytes(&mut b, 6, self.text.as_bytes());
        bytes(&mut b, 7, self.kind.as_bytes());
        bytes(&mut b, 9, &self.body);
        bytes(&mut b, 10, self.cursor.as_bytes());
        for (key, data) in &self.events {
            let mut e = Vec::new();
            bytes(&mut e, 1, key.as_bytes());
            bytes(&mut e, 2, data.as_bytes());
            bytes(&mut b, 13, &e);
        }
        num(&mut b, 14, self.millis);
        num(&mut b, 21, self.stream);
        bytes(&mut b, 24, self.method.as_bytes());
        bytes(&mut b, 25, self.url.as_bytes());
        b
    }

    fn read(mut p: &[u8]) -> Option<Frame> {
        let mut f = Frame::default();
        while !p.is_empty() {
            let tag = varint(&mut p)?;
            match tag & 7 {
                0 => {
                    let v = varint(&mut p)?;
                    match tag >> 3 {
                        1 => f.op = v,
                        14 => f.millis = v,
                        15 => f.status = v,
                        16 => f.more = v != 0,
                        21 => f.stream = v,
                        _ => {}
                    }
                }
                2 => {
                    let n = varint(&mut p)?;
                    let v = cut(&mut p, n)?;
                    match tag >> 3 {
                        4 => f.part = text(v),
                        5 => f.name = text(v),
                        6 => f.text = text(v),
                        7 => f.kind = text(v),
                        8 => f.config = v.to_vec(),
                        9 => f.body = v.to_vec(),
                        10 => f.cursor = text(v),
                        _ => {}
                    }
                }
                1 => drop(cut(&mut p, 8)?),
                5 => drop(cut(&mut p, 4)?),
                _ => return None,
            }
        }
        Some(f)
    }

    /// A RETURN that tells of a failure.
    pub fn failure(kind: &str, text: &str) -> Frame {
        Frame { op: RETURN, kind: kind.into(), text: text.into(), ..Frame::default() }
    }
}

/// exchange hands a frame to the engine and waits for the next; None: the engine
/// is done.
pub fn exchange(f: &Frame) -> Option<Frame> {
    let out = f.write();
    let mut buf = vec![0; 68 << 10];
    // Both calls write at most as much as they are told that there is room for.
    let mut n = unsafe { swap(out.as_ptr(), out.len(), buf.as_mut_ptr(), buf.len()) };
    if n > buf.len() {
        buf.resize(n, 0);
        n = unsafe { take(buf.as_mut_ptr(), buf.len()) };
    }
    if n == 0 {
        return None;
    }
    Frame::read(&buf[..n])
}
