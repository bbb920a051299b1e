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
