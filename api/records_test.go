package api_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/tappet-dev/tappet/engine"
)

const fileID = "1f0c9a52d3b84e6fa07c5d1b2e3f4a5b"

func TestARunIsDeleted(t *testing.T) {
	t.Parallel()
	f := newFake()
	w := do(newServer(t, f, nil), request("DELETE", "/api/v1/runs/"+runID.String(), ""))
	if w.Code != http.StatusNoContent || w.Body.Len() != 0 || f.got != runID.String() {
		t.Errorf("%d %q, deleted %v", w.Code, w.Body, f.got)
	}
	for kind, status := range map[engine.Kind]int{engine.NotFound: 404, engine.Conflict: 409} {
		f.err = &engine.Error{Kind: kind, Err: errors.New("no")}
		wantProblem(t, do(newServer(t, f, nil), request("DELETE", "/api/v1/runs/"+runID.String(), "")), status, string(kind))
	}
	wantProblem(t, do(newServer(t, newFake(), nil), request("DELETE", "/api/v1/runs/foo", "")), 404, "not_found")
}

func TestSec07_AFileOfARunIsADownload(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, typ, disposition, wantType string }{
		{"a b.png", "image/png", `attachment; filename="a b.png"`, "image/png"},
		{"日本.txt", "text/plain; charset=utf-8", "attachment; filename*=utf-8''%E6%97%A5%E6%9C%AC.txt", "text/plain; charset=utf-8"},
		{"x.html", "text/html", "attachment; filename=x.html", "text/html"},
		{"a\"\r\nX-Evil: 1", "text/html\r\nX-Evil: 1", `attachment; filename*=utf-8''a%22%0D%0AX-Evil%3A%201`, "application/octet-stream"},
		{"", "nonsense type", "attachment", "application/octet-stream"},
	} {
		f := newFake()
		f.file, f.bytes = engine.File{ID: fileID, Digest: "abc", Name: c.name, Type: c.typ, Size: 10}, "<b>0123456"
		s := newServer(t, f, nil)
		w := do(s, request("GET", "/api/v1/runs/"+runID.String()+"/files/"+fileID, ""))
		if w.Code != 200 || w.Body.String() != f.bytes || f.got != runID.String()+" "+fileID {
			t.Errorf("%q: %d %q, asked for %v", c.name, w.Code, w.Body, f.got)
		}
		for name, want := range map[string]string{
			"Content-Disposition": c.disposition, "Content-Type": c.wantType, "X-Content-Type-Options": "nosniff",
			"Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'", "X-Evil": "", "Content-Length": "10",
			"Cache-Control": "no-store",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%q: %s is %q; want %q", c.name, name, got, want)
			}
		}
		w = do(s, request("GET", "/api/v1/runs/"+runID.String()+"/files/"+fileID, "", "Range", "bytes=3-5"))
		if w.Code != http.StatusPartialContent || w.Body.String() != "012" {
			t.Errorf("a part: %d %q", w.Code, w.Body)
		}
		w = do(s, request("HEAD", "/api/v1/runs/"+runID.String()+"/files/"+fileID, ""))
		if w.Code != 200 || w.Header().Get("Content-Length") != "10" {
			t.Errorf("HEAD: %d %v", w.Code, w.Header())
		}
	}
	f := newFake()
	f.err = &engine.Error{Kind: engine.NotFound, Err: errors.New("the run has no such file")}
	wantProblem(t, do(newServer(t, f, nil), request("GET", "/api/v1/runs/"+runID.String()+"/files/x", "")), 404, "not_found")
	r := request("GET", "/api/v1/runs/"+runID.String()+"/files/"+fileID, "")
	r.Header.Del("Authorization")
	wantProblem(t, do(newServer(t, newFake(), nil), r), 401, "unauthorized")
}
