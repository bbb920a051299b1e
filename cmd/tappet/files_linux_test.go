package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/api/client"
	"github.com/tappet-dev/tappet/internal/bench"
)

func newFileSink(t *testing.T) *bench.FileSink {
	t.Helper()
	s, err := bench.NewFileSink()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// blobs lists the files that the data folder holds, whole and half ones.
func (s *server) blobs(t *testing.T) (whole, half []string) {
	t.Helper()
	dir := filepath.Join(s.data, "blobs")
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if filepath.Base(filepath.Dir(path)) == "tmp" {
			half = append(half, path)
		} else {
			whole = append(whole, filepath.Base(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return whole, half
}

// wantBlobs waits until so many whole files are there, and no half ones.
func (s *server) wantBlobs(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d files in the data folder", n), func() (bool, any) {
		whole, half := s.blobs(t)
		return len(whole) == n && len(half) == 0, append(whole, half...)
	})
}

// fileForm is a form with one file.
func fileForm(t *testing.T, name, content string) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	p, err := w.CreateFormFile("file", name)
	if err == nil {
		_, err = io.WriteString(p, content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), w.FormDataContentType()
}

// upload sends a form with one file, and gives the run and the file's id.
func (s *server) upload(t *testing.T, path, name, content string) (run, file string) {
	t.Helper()
	body, contentType := fileForm(t, name, content)
	res, answer := s.send(t, http.MethodPost, "/hooks/"+path, "", body, contentType)
	if res.StatusCode != http.StatusAccepted {
		t.Fatalf("upload: %s: %s", res.Status, answer)
	}
	run = runID(t, answer)
	return run, s.files(t, run)[0]
}

// files are the ids of the files of a run's event.
func (s *server) files(t *testing.T, run string) (ids []string) {
	t.Helper()
	r, err := s.Run(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	var event struct {
		Files []struct {
			File string `json:"file"`
		} `json:"files"`
	}
	if err := json.Unmarshal(r.Event, &event); err != nil || len(event.Files) == 0 {
		t.Fatalf("%v in the event %s; want files", err, r.Event)
	}
	for _, f := range event.Files {
		ids = append(ids, f.File)
	}
	return ids
}

func (s *server) download(t *testing.T, run, file string) (status int, body string, header http.Header) {
	t.Helper()
	res, b := s.send(t, http.MethodGet, "/api/v1/runs/"+run+"/files/"+file, token, nil, "")
	return res.StatusCode, string(b), res.Header
}

const keepGraph = `name: keep
trigger: {use: webhook, with: {path: keep}}
steps:
  - id: size
    set: ${{ sum(trigger.files, .size) }}
`

// TestLargeFile: 200 MB come in by a webhook's form and go out by form-data, and
// the server's memory doesn't know of it (issue 6, item 2).
func TestLargeFile(t *testing.T) {
	t.Parallel()
	const size, limit = 200_000_000, 128 << 20
	sink := newFileSink(t)
	s := start(t, "", "--egress-allow", hostport(sink.URL))
	s.deploy(t, "files", string(bench.FileGraph(sink.URL)))
	ctx, cancel := contextWithin(t)
	defer cancel()
	const name = "Jahresbericht – 年次 \"1\".bin"
	sent, status, answer, err := bench.Upload(ctx, s.URL+"/hooks/files", name, size, 7)
	if err != nil || status != http.StatusAccepted {
		t.Fatalf("upload: %v, %d %s", err, status, answer)
	}
	if r := s.ended(t, runID(t, answer)); r.State != "succeeded" {
		t.Fatalf("the run has %s: %+v", r.State, r.Error)
	}
	want := sent
	want.Field, want.Name = "Attachments[]", strings.ReplaceAll(name, `"`, "%22") // as browsers write it
	if diff := cmp.Diff([]bench.FileSum{want}, sink.Files()); diff != "" {
		t.Errorf("what arrived (-want +got):\n%s", diff)
	}
	peak, err := bench.PeakRSS(s.Pid())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("peak RSS %d MB", peak>>20)
	if peak > limit {
		t.Errorf("the server's memory was %d MB at its peak, %d MB is the limit", peak>>20, limit>>20)
	}
}

// TestS29_CurlUploadsFiles: files that curl sends to a webhook have their names,
// types and bytes in the event, and go on unchanged.
func TestS29_CurlUploadsFiles(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is missing: .ci/deps installs it")
	}
	sink := newFileSink(t)
	s := start(t, "", "--egress-allow", hostport(sink.URL))
	s.deploy(t, "files", string(bench.FileGraph(sink.URL)))
	dir := t.TempDir()
	want := []bench.FileSum{
		{Name: "Äpfel – 林檎 🍎.txt", Type: "text/plain"},
		{Name: "Jahresbericht 年次; 1.csv", Type: "text/csv"},
		{Name: "ñ.bin", Type: "application/octet-stream"},
	}
	contents := []string{"eins\r\n--zwei\n\x00", strings.Repeat("a,b\n", 1000), "\xff\x00\xfe"}
	args := []string{"-sS", "--fail-with-body", "-F", "title=Bericht – 報告"}
	for i, content := range contents {
		path := filepath.Join(dir, want[i].Name)
		if i == 2 { // another name than that on the disk
			path = filepath.Join(dir, "local")
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(content))
		want[i].Field, want[i].Size, want[i].Digest = "Attachments[]", int64(len(content)), hex.EncodeToString(sum[:])
		file := fmt.Sprintf(`files=@"%s";type=%s`, path, want[i].Type)
		if i == 2 {
			file += ";filename=" + want[i].Name
		}
		args = append(args, "-F", file)
	}
	answer, err := exec.CommandContext(t.Context(), curl, append(args, s.URL+"/hooks/files")...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl: %v: %s", err, answer)
	}
	r := s.ended(t, runID(t, answer))
	if r.State != "succeeded" {
		t.Fatalf("the run has %s: %+v", r.State, r.Error)
	}
	if diff := cmp.Diff(want, sink.Files()); diff != "" {
		t.Errorf("what arrived (-want +got):\n%s", diff)
	}
	var event struct {
		Body  struct{ Title string }
		Files []struct {
			Name, Type string
			Size       int64
		}
	}
	if err := json.Unmarshal(r.Event, &event); err != nil || event.Body.Title != "Bericht – 報告" || len(event.Files) != len(want) {
		t.Fatalf("%v in the event %s", err, r.Event)
	}
	for i, f := range event.Files {
		if f.Name != want[i].Name || f.Type != want[i].Type || f.Size != want[i].Size {
			t.Errorf("the event has %+v, want %+v", f, want[i])
		}
	}
}

// TestSec11_AFileIsItsRunsAlone: neither another run nor anybody's JSON can name
// it.
func TestSec11_AFileIsItsRunsAlone(t *testing.T) {
	t.Parallel()
	sink := newFileSink(t)
	s := start(t, "", "--egress-allow", hostport(sink.URL))
	s.deploy(t, "keep", keepGraph)
	s.deploy(t, "files", string(bench.FileGraph(sink.URL)))
	a, file := s.upload(t, "keep", "../../etc/passwd", "of a")
	b, other := s.upload(t, "keep", "b", "of b")
	status, body, header := s.download(t, a, file)
	if status != 200 || body != "of a" || !strings.HasPrefix(header.Get("Content-Disposition"), "attachment") || header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("download: %d %q %v", status, body, header)
	}
	for _, x := range [][2]string{{a, other}, {b, file}, {a, "x"}, {a, "..%2f..%2fetc%2fpasswd"}} {
		if status, body, _ := s.download(t, x[0], x[1]); status != 404 {
			t.Errorf("file %s of run %s: %d %s; want 404", x[1], x[0], status, body)
		}
	}
	res, _ := s.send(t, http.MethodGet, "/api/v1/runs/"+a+"/files/"+file, "", nil, "")
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %s", res.Status)
	}
	// A body that looks like a file is none.
	id := s.hook(t, "files", `{"title":"t"}`)
	if r := s.ended(t, id); r.State != "succeeded" {
		t.Errorf("no files: the run has %s: %+v", r.State, r.Error)
	}
	event := fmt.Sprintf(`{"body":{"title":"t"},"headers":{},"query":{},"method":"POST","path":"files","params":{},"files":[{"file":%q,"name":"n","type":"t","size":4}]}`, file)
	started, _, err := s.StartRun(t.Context(), "files", client.Start{Event: []byte(event)})
	if err != nil {
		t.Fatal(err)
	}
	r := s.ended(t, started.ID)
	if r.State != "failed" || r.Error == nil || !strings.Contains(r.Error.Message, "Attachments[]") {
		t.Errorf("a foreign file: %s, %+v; want a failure that names the field", r.State, r.Error)
	}
	if got := sink.Files(); len(got) != 0 {
		t.Errorf("sent: %+v", got)
	}
}

// TestFilesGoWithTheirRuns: two runs refer to the same bytes; they stay until
// both are deleted.
func TestFilesGoWithTheirRuns(t *testing.T) {
	t.Parallel()
	slow := newSlow(t)
	s := start(t, "", "--egress-allow", hostport(slow.URL))
	s.deploy(t, "keep", keepGraph)
	a, fileA := s.upload(t, "keep", "a", "the same bytes")
	b, fileB := s.upload(t, "keep", "b", "the same bytes")
	c, _ := s.upload(t, "keep", "c", "others")
	s.idle(t)
	s.wantBlobs(t, 2)
	remove := func(run string) {
		t.Helper()
		if res, body := s.send(t, http.MethodDelete, "/api/v1/runs/"+run, token, nil, ""); res.StatusCode != http.StatusNoContent {
			t.Fatalf("delete: %s: %s", res.Status, body)
		}
	}
	remove(a)
	if status, _, _ := s.download(t, a, fileA); status != 404 {
		t.Errorf("a file of the deleted run: %d", status)
	}
	if status, body, _ := s.download(t, b, fileB); status != 200 || body != "the same bytes" {
		t.Errorf("the other run's file: %d %q", status, body)
	}
	s.wantBlobs(t, 2)
	remove(b)
	s.wantBlobs(t, 1)
	remove(c)
	s.wantBlobs(t, 0)
	if res, _ := s.send(t, http.MethodDelete, "/api/v1/runs/"+c, token, nil, ""); res.StatusCode != 404 {
		t.Errorf("delete again: %s", res.Status)
	}
	s.deploy(t, "slow", slow.relay("slow"))
	open := s.hook(t, "slow", `{"n":0}`)
	eventually(t, "the call under way", func() (bool, any) { return slow.count("/slow") == 1, nil })
	if res, body := s.send(t, http.MethodDelete, "/api/v1/runs/"+open, token, nil, ""); res.StatusCode != http.StatusConflict {
		t.Errorf("delete an open run: %s: %s", res.Status, body)
	}
	slow.free()
	s.ended(t, open)
}

// TestFilesSurviveAKill: what was acknowledged is there after kill -9, and what
// wasn't leaves nothing.
func TestFilesSurviveAKill(t *testing.T) {
	t.Parallel()
	slow := newSlow(t)
	s := start(t, "", "--egress-allow", hostport(slow.URL))
	s.deploy(t, "slow", slow.relay("slow"))
	run, file := s.upload(t, "slow", "a", "kept")
	eventually(t, "the call under way", func() (bool, any) { return slow.count("/slow") == 1, nil })
	c := s.half(t, "/hooks/slow", 1<<20)
	eventually(t, "half a file", func() (bool, any) {
		_, half := s.blobs(t)
		return len(half) == 1, half
	})
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	slow.free()
	s = start(t, s.data, "--egress-allow", hostport(slow.URL))
	if r := s.ended(t, run); r.State != "succeeded" {
		t.Errorf("the run has %s: %+v", r.State, r.Error)
	}
	if status, body, _ := s.download(t, run, file); status != 200 || body != "kept" {
		t.Errorf("the file: %d %q", status, body)
	}
	s.wantBlobs(t, 1)
}

// half sends the first half of a form with a file of n bytes and leaves the
// connection open.
func (s *server) half(t *testing.T, path string, n int) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", hostport(s.URL))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_, err = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: %d\r\n\r\n"+
		"--x\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n%s", path, n, strings.Repeat("x", n/2))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestFilesThatFailLeaveNothing: whatever is wrong with a request that brings
// files, it is told what, and nothing is half kept.
func TestFilesThatFailLeaveNothing(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--limits-hook-stream", "300000", "--limits-file-bytes", "200000", "--limits-event-bytes", "100000")
	s.deploy(t, "keep", keepGraph)
	s.deploy(t, "small", strings.ReplaceAll(strings.ReplaceAll(keepGraph, "keep", "small"), "path: small", "path: small, max_body: 1000"))
	file := "--x\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n%s\r\n"
	whole := fmt.Sprintf(file, "whole")
	for name, c := range map[string]struct {
		path, body, contentType string
		status                  int
		says                    string
	}{
		"over the limit of streams": {"keep", fmt.Sprintf(file, strings.Repeat("x", 150_000)) + fmt.Sprintf(file, strings.Repeat("y", 150_000)) + "--x--", "", 413, "limits.hook_stream"},
		"over the limit of files":   {"keep", whole + fmt.Sprintf(file, strings.Repeat("x", 250_000)) + "--x--", "", 413, "limits.file_bytes"},
		"over the graph's limit":    {"small", fmt.Sprintf(file, strings.Repeat("x", 1000)) + "--x--", "", 413, "max_body"},
		"no last boundary":          {"keep", whole, "", 422, "last boundary"},
		"another part is broken":    {"keep", whole + "--x\r\n\r\nno name\r\n--x--", "", 422, "part 2"},
		"1,001 parts":               {"keep", strings.Repeat(whole, 1001) + "--x--", "", 413, "1000 parts"},
		"an event over its limit":   {"keep", whole + "--x\r\nContent-Disposition: form-data; name=t\r\n\r\n" + strings.Repeat("t", 110_000) + "\r\n--x--", "", 413, "limits.event_bytes"},
		"no boundary":               {"keep", whole + "--x--", "multipart/form-data", 422, "boundary"},
		"no such path":              {"none", whole + "--x--", "", 404, ""},
		"another type over a limit": {"keep", strings.Repeat("x", 250_000), "image/png", 413, "limits.file_bytes"},
	} {
		contentType := c.contentType
		if contentType == "" {
			contentType = "multipart/form-data; boundary=x"
		}
		res, body := s.send(t, http.MethodPost, "/hooks/"+c.path, "", []byte(c.body), contentType)
		if p := problem(t, res, body); res.StatusCode != c.status || !strings.Contains(p.Detail, c.says) {
			t.Errorf("%s: %s: %s; want %d and %q", name, res.Status, p.Detail, c.status, c.says)
		}
	}
	conn := s.half(t, "/hooks/keep", 100_000) // the sender goes away
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	s.wantBlobs(t, 0)
	runs, err := s.Runs(t.Context(), client.RunQuery{})
	if err != nil || len(runs.Items) != 0 {
		t.Errorf("runs: %+v, %v; want none", runs.Items, err)
	}
	s.upload(t, "keep", "a", "whole") // the same, whole, is taken
	s.wantBlobs(t, 1)
}

// TestFullDiskWithFiles holds D7 for uploads.
func TestFullDiskWithFiles(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	s.deploy(t, "keep", keepGraph)
	free := s.fillDisk(t)
	body, contentType := fileForm(t, "a", strings.Repeat("x", 1<<20))
	res, answer := s.send(t, http.MethodPost, "/hooks/keep", "", body, contentType)
	if p := problem(t, res, answer); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") != "5" || strings.Contains(p.Detail, "blobs") {
		t.Errorf("an upload on a full disk: %s, Retry-After %q, %s", res.Status, res.Header.Get("Retry-After"), p.Detail)
	}
	s.wantBlobs(t, 0)
	free()
	s.wantReady(t)
	run, file := s.upload(t, "keep", "a", strings.Repeat("x", 1<<20))
	if status, got, _ := s.download(t, run, file); status != 200 || len(got) != 1<<20 {
		t.Errorf("download: %d, %d bytes", status, len(got))
	}
}

// TestLeftoversAreSwept: what a killed process had put and no run came to have
// is gone after the next start; what runs have stays.
func TestLeftoversAreSwept(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	s.deploy(t, "keep", keepGraph)
	run, file := s.upload(t, "keep", "a", "kept")
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	orphan := strings.Repeat("ab", 32)
	if err := os.MkdirAll(filepath.Join(s.data, "blobs", "ab"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.data, "blobs", "ab", orphan), []byte("orphan"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = start(t, s.data)
	s.wantBlobs(t, 1)
	if status, body, _ := s.download(t, run, file); status != 200 || body != "kept" {
		t.Errorf("the file: %d %q", status, body)
	}
}
