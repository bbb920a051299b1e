//! page: a poll trigger that tells when a page has changed, in Rust.
mod tappet;

use tappet::*;

const SPEC: &str = r#"{"name":"page","title":"Page","version":"1.0.0","needs":{"http":["{url}"]},"triggers":[{
"name":"changed","title":"A page changes","kind":"poll","config":{"type":"object","properties":{
"url":{"type":"string","title":"Address","format":"uri"}},"required":["url"],"additionalProperties":false},
"event":{"type":"object","properties":{"hash":{"type":"string"},"bytes":{"type":"integer"}},
"required":["hash","bytes"],"additionalProperties":false},"every":"5m0s"}]}"#;

const MAX_PAGE: usize = 1 << 20;

/// skip takes white space, and then what is wanted.
fn skip<'a>(s: &'a str, want: &str) -> Option<&'a str> {
    s.trim_start_matches(&[' ', '\n', '\t', '\r'][..]).strip_prefix(want)
}

/// address reads a config, {"url": "…"} and nothing else.
fn address(config: &[u8]) -> Option<String> {
    let s = std::str::from_utf8(config).ok()?;
    let s = skip(skip(skip(skip(s, "{")?, "\"url\"")?, ":")?, "\"")?;
    let mut url = String::new();
    let mut c = s.chars();
    loop {
        match c.next()? {
            '"' => break,
            '\\' => match c.next()? {
                x @ ('"' | '\\' | '/') => url.push(x),
                'u' => {
                    let hex = c.as_str().get(..4)?;
                    if !hex.bytes().all(|x| x.is_ascii_hexdigit()) {
                        return None;
                    }
                    url.push(char::from_u32(u32::from_str_radix(hex, 16).ok()?)?);
                    c = c.as_str()[4..].chars();
                }
                _ => return None,
            },
            x => url.push(x),
        }
    }
    let rest = skip(c.as_str(), "}")?;
    skip(rest, "")?.is_empty().then(|| url)
}

/// ask sends a frame during a call; a failure of the host becomes that of the
/// call, with its kind.
fn ask(f: Frame) -> Result<Frame, Frame> {
    match exchange(&f) {
        Some(r) if r.kind.is_empty() => Ok(r),
        Some(r) => Err(Frame { millis: r.millis, ..Frame::failure(&r.kind, &r.text) }),
        None => Err(Frame::failure("cancelled", "the engine is done")),
    }
}

fn poll(call: &Frame) -> Result<Frame, Frame> {
    let url = address(&call.config)
        .ok_or_else(|| Frame::failure("invalid", "config: an object with the text url is wanted, and nothing else"))?;
    let mut r = ask(Frame { op: HTTP, method: "GET".into(), url, ..Frame::default() })?;
    let (status, stream) = (r.status, r.stream);
    let mut bytes = 0;
    let mut sum: u64 = 14695981039346656037; // FNV-1a
    loop {
        for &b in &r.body {
            sum = (sum ^ b as u64).wrapping_mul(1099511628211);
        }
        bytes += r.body.len();
        if !r.more {
            break;
        }
        let enough = bytes > MAX_PAGE || status != 200;
        r = ask(Frame { op: if enough { DONE } else { READ }, stream, ..Frame::default() })?;
        if enough {
            break;
        }
    }
    if status != 200 {
        return Err(Frame::failure("unavailable", "the page did not answer with status 200"));
    }
    if bytes > MAX_PAGE {
        return Err(Frame::failure("too_large", "the page has more than 1048576 bytes"));
    }
    let hash = format!("{:016x}", sum);
    let event = format!("{{\"hash\":\"{}\",\"bytes\":{}}}", hash, bytes);
    Ok(Frame { op: RETURN, cursor: hash.clone(), events: vec![(hash, event)], ..Frame::default() })
}

#[no_mangle]
pub extern "C" fn _start() {
    let mut out = Frame { op: READY, abi: 1, ..Frame::default() };
    while let Some(f) = exchange(&out) {
        out = match (f.op, f.part.as_str(), f.name.as_str()) {
            (CALL, "poll", "changed") => poll(&f).unwrap_or_else(|e| e),
            (DESCRIBE, _, _) => Frame { op: RETURN, abi: 1, body: SPEC.into(), ..Frame::default() },
            _ => Frame::failure("unsupported", "page knows one trigger, changed"),
        };
    }
}
