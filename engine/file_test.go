package engine_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
	"github.com/tappet-dev/tappet/sdk"
)

// A cabinet makes hosts that keep files, and remembers what was collected.
type cabinet struct {
	mu        sync.Mutex
	held      map[string]int
	collected []string
}

func (c *cabinet) Host(_ context.Context, call engine.HostCall) (sdk.Host, func()) {
	return cabinetHost{c: c, call: call}, func() {}
}

func (c *cabinet) Open(digest string) (io.ReadSeekCloser, error) {
	if digest == "gone" {
		return nil, fs.ErrNotExist
	}
	return memory{strings.NewReader(digest)}, nil
}

type memory struct{ io.ReadSeeker }

func (memory) Close() error { return nil }

func (c *cabinet) Collect(_ context.Context, digests []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range digests {
		if c.held[d] > 0 {
			continue // its holder has it
		}
		c.collected = append(c.collected, d)
	}
}

func (c *cabinet) wantCollected(t testing.TB, digests ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.Sort(c.collected)
	if diff := cmp.Diff(digests, c.collected); diff != "" {
		t.Errorf("collected (-want +got):\n%s", diff)
	}
	for d, n := range c.held {
		if n != 0 {
			t.Errorf("%s is still held", d)
		}
	}
	c.collected = nil
}

type cabinetHost struct {
	sdk.Host
	c    *cabinet
	call engine.HostCall
}

// NewFile keeps a file whose id and digest are its name.
func (h cabinetHost) NewFile(_ context.Context, name, _ string, _ io.Reader) (sdk.File, error) {
	h.c.mu.Lock()
	h.c.held[name]++
	h.c.mu.Unlock()
	h.call.Keep(engine.File{ID: name, Digest: name, Name: name}, func() {
		h.c.mu.Lock()
		defer h.c.mu.Unlock()
		h.c.held[name]--
	})
	return sdk.File{ID: name}, nil
}

func (h cabinetHost) OpenFile(context.Context, string) (sdk.File, io.ReadCloser, error) {
	return sdk.File{}, nil, errors.New("not here")
}

// fileConnector has a webhook that keeps a file of the body's name, and an action
// that does the same and may fail; h is its host.
func fileConnector(c *cabinet) sdk.Connector {
	newFile := func(ctx context.Context, h sdk.Host, name string) error {
		f, err := sdk.FilesOf(h)
		if err == nil {
			_, err = f.NewFile(ctx, name, "", nil)
		}
		return err
	}
	return sdk.Connector{
		Name: "files",
		Triggers: []sdk.Trigger{{Name: "hook", Kind: sdk.KindWebhook, Multipart: true, Webhook: func(ctx context.Context, h sdk.Host, call sdk.WebhookCall) (sdk.RawWebhook, error) {
			if err := newFile(ctx, h, string(call.Request.Body)); err != nil {
				return sdk.RawWebhook{}, err
			}
			switch call.Request.Query {
			case "fail":
				return sdk.RawWebhook{}, sdk.Errorf(sdk.Invalid, "no")
			case "panic":
				panic("hook")
			case "garbage":
				return sdk.RawWebhook{Events: []sdk.Event{{Data: []byte("{")}}}, nil
			case "none":
				return sdk.RawWebhook{}, nil
			}
			return sdk.RawWebhook{Events: []sdk.Event{{Key: call.Request.Query, Data: []byte("{}")}}}, nil
		}}},
		Actions: []sdk.Action{
			{Name: "make", Do: func(ctx context.Context, h sdk.Host, _ sdk.ActionCall) (sdk.Result, error) {
				return sdk.Result{}, newFile(ctx, h, "made")
			}},
			{Name: "fail", Do: func(ctx context.Context, h sdk.Host, _ sdk.ActionCall) (sdk.Result, error) {
				return sdk.Result{}, errors.Join(newFile(ctx, h, "lost"), sdk.Errorf(sdk.Failed, "no"))
			}},
			{Name: "boom", Do: func(ctx context.Context, h sdk.Host, _ sdk.ActionCall) (sdk.Result, error) {
				_ = newFile(ctx, h, "lost")
				panic("boom")
			}},
		},
	}
}

func newFileBench(t *testing.T) (*bench, *cabinet) {
	t.Helper()
	c := &cabinet{held: map[string]int{}}
	b := newBenchOf(t, t.TempDir(), c, c)
	b.shelf.put(fileConnector(c), "d1")
	return b, c
}

// A request that becomes no run leaves no file; one that does keeps its own.
func TestFilesOfAHook(t *testing.T) {
	t.Parallel()
	b, c := newFileBench(t)
	b.on("name: f\ntrigger: {use: files.hook}\nsteps:\n- {id: a, set: 1}\n")
	run := b.mustPost("f", "", "kept").Run
	if f, r, err := b.OpenFile(t.Context(), run, "kept"); err != nil || f.Digest != "kept" {
		t.Errorf("open: %+v, %v", f, err)
	} else if err := r.Close(); err != nil {
		t.Error(err)
	}
	c.wantCollected(t)
	for _, query := range []string{"fail", "panic", "garbage"} {
		if _, err := b.post("f", query, query); err == nil {
			t.Errorf("%s: it was taken", query)
		}
		c.wantCollected(t, query)
	}
	b.mustPost("f", "none", "none")
	c.wantCollected(t, "none")
	b.mustPost("f", "key", "first")
	c.wantCollected(t)
	if !b.mustPost("f", "key", "second").Duplicate {
		t.Error("it is no duplicate")
	}
	c.wantCollected(t, "second")
}

func TestAGraphThatWasTurnedOffTakesNoFiles(t *testing.T) {
	t.Parallel()
	b, c := newFileBench(t)
	b.on("name: f\ntrigger: {use: files.hook}\nsteps:\n- {id: a, set: 1}\n")
	if r, err := b.HookRoute("f", "POST"); err != nil || !r.Streams || r.MaxBody != 0 {
		t.Errorf("route %+v, %v", r, err)
	}
	conn := fileConnector(c)
	inner := conn.Triggers[0].Webhook
	conn.Triggers[0].Webhook = func(ctx context.Context, h sdk.Host, call sdk.WebhookCall) (sdk.RawWebhook, error) {
		res, err := inner(ctx, h, call)
		return res, errors.Join(err, b.Deactivate(ctx, "f"))
	}
	b.shelf.put(conn, "d1")
	b.Rebind(t.Context())
	if _, err := b.post("f", "", "late"); !errors.Is(err, &engine.Error{Kind: engine.Unavailable}) {
		t.Errorf("%v; want unavailable", err)
	}
	c.wantCollected(t, "late")
	for _, method := range []string{"POST", "PUT"} {
		if _, err := b.HookRoute("f", method); !errors.Is(err, &engine.Error{Kind: engine.Unavailable}) {
			t.Errorf("%s: %v; want unavailable", method, err)
		}
	}
}

// A call that fails keeps nothing; one that succeeds has its file with its record.
func TestFilesOfAnAction(t *testing.T) {
	t.Parallel()
	b, c := newFileBench(t)
	for _, action := range []string{"make", "fail", "boom"} {
		b.on("name: " + action + "\ntrigger: {use: test.hook}\nsteps:\n- {id: a, use: files." + action + "}\n")
		run := b.mustPost(action, "", "1").Run
		b.ended(run)
		if action != "make" {
			c.wantCollected(t, "lost")
			continue
		}
		if f, _, err := b.OpenFile(t.Context(), run, "made"); err != nil || f.Digest != "made" {
			t.Errorf("open: %+v, %v", f, err)
		}
		if err := b.DeleteRun(t.Context(), run); err != nil {
			t.Error(err)
		}
		c.wantCollected(t, "made")
		if _, _, err := b.OpenFile(t.Context(), run, "made"); !errors.Is(err, &engine.Error{Kind: engine.NotFound}) {
			t.Errorf("of the deleted run: %v", err)
		}
	}
}

func TestAFileWhoseBytesAreGone(t *testing.T) {
	t.Parallel()
	b, _ := newFileBench(t)
	b.on("name: f\ntrigger: {use: files.hook}\nsteps:\n- {id: a, set: 1}\n")
	run := b.mustPost("f", "", "gone").Run
	if _, _, err := b.OpenFile(t.Context(), run, "gone"); !errors.Is(err, &engine.Error{Kind: engine.NotFound}) || !strings.Contains(err.Error(), "blobs") {
		t.Errorf("err = %v; want not found, with where to look", err)
	}
}
