package serve

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/wire"
)

// TestGuestLinksNoNetwork holds what keeps guests small.
func TestGuestLinksNoNetwork(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "list", "-deps", ".")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 10 {
		t.Fatalf("only %d packages: %s", len(deps), out)
	}
	for _, d := range deps {
		switch d {
		case "net", "net/http", "crypto/tls", "testing":
			t.Errorf("a guest links %s", d)
		}
		if strings.Contains(d, ".") && !strings.HasPrefix(d, "github.com/tappet-dev/tappet/sdk") && !strings.HasPrefix(d, "vendor/") {
			t.Errorf("a guest links %s", d)
		}
	}
}

// A script is a pipe whose host answers by a function.
type script func(f *wire.Frame) wire.Frame

func (s script) swap(_ context.Context, f *wire.Frame, open func() bool) (wire.Frame, error) {
	if !open() {
		return wire.Frame{}, errOver()
	}
	return s(f), nil
}

func silent(*wire.Frame) wire.Frame { return wire.Frame{Op: wire.OpReply} }

func connector(do func(context.Context, sdk.Host) error) *sdk.Connector {
	return &sdk.Connector{Name: "c", Actions: []sdk.Action{{
		Name: "a", Do: func(ctx context.Context, h sdk.Host, _ sdk.ActionCall) (sdk.Result, error) {
			return sdk.Result{Output: json.RawMessage("1")}, do(ctx, h)
		},
	}}}
}

func callFrame() *wire.Frame { return &wire.Frame{Op: wire.OpCall, Part: wire.PartAction, Name: "a"} }

func TestAnswer(t *testing.T) {
	t.Parallel()
	ok := func(context.Context, sdk.Host) error { return nil }
	for name, tt := range map[string]struct {
		do    func(context.Context, sdk.Host) error
		frame *wire.Frame
		kind  sdk.Kind
		text  string
	}{
		"a result":        {ok, callFrame(), "", ""},
		"an unknown op":   {ok, &wire.Frame{Op: 63}, sdk.Unsupported, "newer sdk"},
		"an unknown name": {ok, &wire.Frame{Op: wire.OpCall, Part: wire.PartAction, Name: "b"}, sdk.Unsupported, `no action "b"`},
		"an unknown part": {ok, &wire.Frame{Op: wire.OpCall, Part: "dance", Name: "a"}, sdk.Unsupported, `no dance trigger "a"`},
		"a panic":         {func(context.Context, sdk.Host) error { panic("boom") }, callFrame(), sdk.Panicked, "panic: boom"},
		"a deadline":      {func(ctx context.Context, _ sdk.Host) error { <-ctx.Done(); return ctx.Err() }, &wire.Frame{Op: wire.OpCall, Part: wire.PartAction, Name: "a", Millis: 1}, sdk.Timeout, "deadline"},
		"text in Latin 1": {func(context.Context, sdk.Host) error { return sdk.Errorf(sdk.Invalid, "caf\xe9") }, callFrame(), sdk.Invalid, "caf\uFFFD"},
		"text beyond size": {func(context.Context, sdk.Host) error {
			return sdk.Errorf(sdk.Invalid, "%s", strings.Repeat("x", 1<<20))
		}, callFrame(), sdk.Invalid, "xxx"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := answer(t.Context(), connector(tt.do), script(silent), tt.frame)
			if r.Op != wire.OpReturn || r.Kind != string(tt.kind) || !strings.Contains(r.Text, tt.text) || len(r.Text) > maxText {
				t.Errorf("op %d, kind %q, text %.100q", r.Op, r.Kind, r.Text)
			}
		})
	}
}

func TestErrorsCrossThePipe(t *testing.T) {
	t.Parallel()
	refusing := script(func(*wire.Frame) wire.Frame {
		return wire.Frame{Op: wire.OpReply, Kind: "rate_limited", Text: "slow down", Millis: 1500}
	})
	do := func(ctx context.Context, h sdk.Host) error {
		_, err := h.Secret(ctx, "s")
		return err
	}
	r := answer(t.Context(), connector(do), refusing, callFrame())
	if r.Kind != "rate_limited" || r.Text != "slow down" || r.Millis != 1500 || string(r.Body) != "1" {
		t.Errorf("%+v", r)
	}
}

func TestStateCheckAndOptionsAreAnswered(t *testing.T) {
	t.Parallel()
	kept := map[string]string{}
	keeps := script(func(f *wire.Frame) wire.Frame {
		if f.Op == wire.OpSetState {
			kept[f.Name] = string(f.Body)
		}
		return wire.Frame{Op: wire.OpReply, Body: []byte(kept[f.Name])}
	})
	c := connector(func(ctx context.Context, h sdk.Host) error {
		before, err := h.State(ctx, "k")
		if err == nil && before == nil {
			err = h.SetState(ctx, "k", []byte("v"))
		}
		if after, _ := h.State(ctx, "k"); string(after) != "v" {
			t.Errorf("kept %q", after)
		}
		return err
	})
	none := answer(t.Context(), c, keeps, &wire.Frame{Op: wire.OpCall, Part: wire.PartCheck})
	c.Check = sdk.Check(func(context.Context, sdk.Host, struct{}) error { return sdk.Errorf(sdk.Unauthorized, "no") })
	c.Options = []sdk.Chooser{sdk.Options("o", "O", func(context.Context, sdk.Host, struct{}) ([]sdk.Option, error) { return nil, nil })}
	for name, tt := range map[string]struct{ got, want wire.Frame }{
		"state":      {answer(t.Context(), c, keeps, callFrame()), wire.Frame{Body: []byte("1")}},
		"no check":   {none, wire.Frame{Kind: "unsupported"}},
		"check":      {answer(t.Context(), c, keeps, &wire.Frame{Op: wire.OpCall, Part: wire.PartCheck}), wire.Frame{Kind: "unauthorized"}},
		"options":    {answer(t.Context(), c, keeps, &wire.Frame{Op: wire.OpCall, Part: wire.PartOptions, Name: "o"}), wire.Frame{Body: []byte("[]")}},
		"no options": {answer(t.Context(), c, keeps, &wire.Frame{Op: wire.OpCall, Part: wire.PartOptions, Name: "p"}), wire.Frame{Kind: "unsupported"}},
	} {
		if tt.got.Op != wire.OpReturn || tt.got.Kind != tt.want.Kind || string(tt.got.Body) != string(tt.want.Body) {
			t.Errorf("%s: kind %q, text %q, body %q", name, tt.got.Kind, tt.got.Text, tt.got.Body)
		}
	}
}

func TestHostIsRefusedAfterTheCall(t *testing.T) {
	t.Parallel()
	var kept sdk.Host
	asked := 0
	counting := script(func(*wire.Frame) wire.Frame { asked++; return wire.Frame{Op: wire.OpReply} })
	answer(t.Context(), connector(func(_ context.Context, h sdk.Host) error { kept = h; return nil }), counting, callFrame())
	_, err := kept.Secret(t.Context(), "s")
	kept.Log(t.Context(), sdk.Info, "late")
	_, herr := kept.HTTP(t.Context(), &sdk.Request{URL: "http://example.com/"})
	if sdk.KindOf(err) != sdk.Cancelled || sdk.KindOf(herr) != sdk.Cancelled || asked != 0 || time.Since(kept.Now()) > time.Minute {
		t.Errorf("%v, %v, asked %d times", err, herr, asked)
	}
}
