package engine

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/program"
	"github.com/tappet-dev/tappet/sdk"
)

// A Preview is a request that a step would send.
type Preview struct {
	*sdk.Request
	// Secrets are the texts that stand for secrets in the request, and their names.
	Secrets map[string]string
	// Connection names what the request would be sent with; "": nothing is added to
	// it. What that adds isn't in it.
	Connection string
	// File is the name of the file that was opened, if it is one only. The bytes of
	// files are left out.
	File func() string
}

// PreviewStep makes the first request that a step would send and gives it to
// show, which may read its body. Nothing is sent, and no secret is looked up.
// Errors are as of TestStep, and Invalid when the step sends none.
func (e *Engine) PreviewStep(ctx context.Context, q StepTest, show func(Preview) error) error {
	op := "preview step " + q.Step + " of " + q.Graph
	t, err := e.stepTrial(ctx, q)
	if err != nil {
		return err
	}
	if t.step.Verb != program.Use {
		return errorf(Invalid, op, "the step sends no request: it has no use")
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	c, a, err := t.action()
	if err != nil {
		return &Error{Kind: Invalid, Op: op, Err: err}
	}
	if c.Origin == "native" {
		return errorf(Invalid, op, "%s is a native plugin, which sends by itself: what it would send is seen only by testing the step", c.Name)
	}
	input, bad := t.fields()
	if bad != nil {
		return &Error{Kind: Invalid, Op: op, Err: bad}
	}
	h := &previewHost{connection: t.step.Connection, input: input, show: show, secrets: map[string]string{}, now: e.now()}
	for i := range input {
		if input[i].Value, err = t.stand(h, i, input[i].Value); err != nil {
			return &Error{Kind: Invalid, Op: op, Err: err}
		}
	}
	var none mask
	_, err = e.do(ctx, &none, a, h, sdk.ActionCall{Action: a.Name, Input: input, IdempotencyKey: testKey()})
	switch {
	case h.err != nil:
		return &Error{Kind: Invalid, Op: op, Err: h.err}
	case h.shown:
		return nil
	case err != nil:
		return &Error{Kind: Invalid, Op: op, Err: err}
	}
	return errorf(Invalid, op, "the step sends no HTTP request")
}

// stand puts texts that stand for secrets into the places of their references.
func (t *stepTrial) stand(h *previewHost, i int, doc json.RawMessage) (json.RawMessage, error) {
	if i >= len(t.step.With) || t.step.With[i].To == nil {
		return doc, nil
	}
	found, err := expr.References(doc, t.step.With[i].To)
	if err != nil {
		return nil, err
	}
	var out []byte
	from := 0
	for _, r := range found {
		out = appendText(append(out, doc[from:r.From]...), h.standIn(r.Name))
		from = r.To
	}
	return append(out, doc[from:]...), nil
}

// previewHost shows the first request of a call in the place of sending it.
type previewHost struct {
	connection string
	input      sdk.Fields
	show       func(Preview) error
	now        time.Time
	secrets    map[string]string

	mu     sync.Mutex
	opened []sdk.File
	shown  bool
	err    error
}

var (
	_ sdk.Host  = (*previewHost)(nil)
	_ sdk.Files = (*previewHost)(nil)
)

// standIn gives the text that stands for a secret: letters and digits that
// nobody guesses, and that no encoding of URLs or JSON changes.
func (h *previewHost) standIn(name string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for text, n := range h.secrets {
		if n == name {
			return text
		}
	}
	text := "S" + rand.Text()
	h.secrets[text] = name
	return text
}

// HTTP implements sdk.Host.
func (h *previewHost) HTTP(_ context.Context, r *sdk.Request) (*sdk.Response, error) {
	if !h.shown {
		h.shown = true
		h.err = h.show(Preview{Request: r, Secrets: h.secrets, Connection: h.connection, File: h.file})
	}
	return nil, sdk.Errorf(sdk.Cancelled, "nothing is sent")
}

// file is the name of the one file that was opened.
func (h *previewHost) file() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.opened) != 1 {
		return ""
	}
	return h.opened[0].Name
}

// Log implements sdk.Host.
func (*previewHost) Log(context.Context, sdk.Level, string, ...any) {}

// Secret implements sdk.Host.
func (h *previewHost) Secret(_ context.Context, name string) (string, error) {
	return h.standIn(strings.ReplaceAll(name, "-", "_")), nil
}

// State implements sdk.Host.
func (*previewHost) State(context.Context, string) ([]byte, error) { return nil, noState() }

// SetState implements sdk.Host.
func (*previewHost) SetState(context.Context, string, []byte) error { return noState() }

func noState() error { return sdk.Errorf(sdk.Unsupported, "only a trigger keeps state") }

// Now implements sdk.Host.
func (h *previewHost) Now() time.Time { return h.now }

// OpenFile implements sdk.Files: a file of the input, without its bytes.
func (h *previewHost) OpenFile(_ context.Context, id string) (sdk.File, io.ReadCloser, error) {
	for _, f := range h.input {
		if found, ok := fileIn(f.Value, id, 0); ok {
			h.mu.Lock()
			if !slices.ContainsFunc(h.opened, func(o sdk.File) bool { return o.ID == id }) {
				h.opened = append(h.opened, found)
			}
			h.mu.Unlock()
			found.Size = 0
			return found, io.NopCloser(strings.NewReader("")), nil
		}
	}
	return sdk.File{}, nil, sdk.Errorf(sdk.NotFound, "the input has no file %.60q", id)
}

// NewFile implements sdk.Files.
func (*previewHost) NewFile(context.Context, string, string, io.Reader) (sdk.File, error) {
	return sdk.File{}, sdk.Errorf(sdk.Unsupported, "a preview keeps no files")
}

// fileIn looks for a file in a value.
func fileIn(doc json.RawMessage, id string, depth int) (sdk.File, bool) {
	var f sdk.File
	if depth > maxExampleDepth || !strings.Contains(string(doc), id) {
		return f, false
	}
	if json.Unmarshal(doc, &f) == nil && f.ID == id {
		return f, true
	}
	var list []json.RawMessage
	if json.Unmarshal(doc, &list) != nil {
		var object map[string]json.RawMessage
		if json.Unmarshal(doc, &object) != nil {
			return sdk.File{}, false
		}
		for _, v := range object {
			list = append(list, v)
		}
	}
	for _, v := range list {
		if found, ok := fileIn(v, id, depth+1); ok {
			return found, true
		}
	}
	return sdk.File{}, false
}
