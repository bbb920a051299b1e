package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"sync"
	"time"
)

// FileGraph is a graph that posts each file of a webhook on, as form-data, and
// answers when that is done.
func FileGraph(sink string) []byte {
	return fmt.Appendf(nil, `name: files
trigger: {use: webhook, with: {path: files}}
steps:
  - id: send
    use: http.custom
    with:
      method: POST
      url: %s/files
      form_data:
        title: ${{ trigger.body.title }}
        "Attachments[]": ${{ trigger.files }}
`, sink)
}

// A FileSum is a file as somebody has seen it.
type FileSum struct {
	Field  string
	Name   string
	Type   string
	Size   int64
	Digest string // SHA-256, hex
}

// Upload posts a form with one file of size bytes that are made on the way, and
// gives what was sent and the answer's status and body.
func Upload(ctx context.Context, to, name string, size int64, seed uint64) (sent FileSum, status int, answer []byte, err error) {
	u, err := url.Parse(to)
	if err != nil || u.Hostname() != "127.0.0.1" && u.Hostname() != "::1" && u.Hostname() != "localhost" {
		return sent, 0, nil, fmt.Errorf("upload to %q: only loopback addresses are loaded", to)
	}
	var head, tail bytes.Buffer
	w := multipart.NewWriter(&head)
	if err := w.WriteField("title", "Report"); err != nil {
		return sent, 0, nil, err
	}
	const field, mediaType = "file", "application/x-report"
	part := textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition(field, name)},
		"Content-Type":        {mediaType},
	}
	if _, err := w.CreatePart(part); err != nil {
		return sent, 0, nil, err
	}
	fmt.Fprintf(&tail, "\r\n--%s--\r\n", w.Boundary())
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	sum := sha256.New()
	file := io.TeeReader(io.LimitReader(rand.NewChaCha8(key), size), sum)
	length := int64(head.Len()) + size + int64(tail.Len())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, io.MultiReader(&head, file, &tail))
	if err != nil {
		return sent, 0, nil, err
	}
	req.ContentLength = length
	req.Header.Set("Content-Type", w.FormDataContentType())
	tr := &http.Transport{WriteBufferSize: 64 << 10}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		return sent, 0, nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return FileSum{Field: field, Name: name, Type: mediaType, Size: size, Digest: hex.EncodeToString(sum.Sum(nil))}, res.StatusCode, answer, err
}

// A FileSink takes forms and keeps the sums of their files.
type FileSink struct {
	// URL is http://127.0.0.1:port.
	URL string

	srv *http.Server
	mu  sync.Mutex
	got []FileSum
}

// NewFileSink starts a sink on a free loopback port.
func NewFileSink() (*FileSink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start sink: %w", err)
	}
	s := &FileSink{URL: "http://" + l.Addr().String()}
	s.srv = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.srv.Serve(l) }() // ends with Close
	return s, nil
}

// Close ends the sink.
func (s *FileSink) Close() error { return s.srv.Close() }

// Files are those that have come whole, in order.
func (s *FileSink) Files() []FileSum {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]FileSum(nil), s.got...)
}

// ServeHTTP answers.
func (s *FileSink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	form, err := r.MultipartReader()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	buf := make([]byte, 64<<10)
	sum := sha256.New()
	for {
		p, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && p.FileName() != "" {
			err = s.take(p, sum, buf)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"ok":true}`) // the sender may have died
}

func (s *FileSink) take(p *multipart.Part, sum hash.Hash, buf []byte) error {
	sum.Reset()
	n, err := io.CopyBuffer(struct{ io.Writer }{sum}, p, buf)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, FileSum{Field: p.FormName(), Name: p.FileName(), Type: p.Header.Get("Content-Type"), Size: n, Digest: hex.EncodeToString(sum.Sum(nil))})
	return nil
}
