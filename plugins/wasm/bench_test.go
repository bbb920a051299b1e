package wasm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/plugins/internal/guest"
	"github.com/tappet-dev/tappet/plugins/native"
	"github.com/tappet-dev/tappet/plugins/pipe"
	"github.com/tappet-dev/tappet/plugins/wasm"
	"github.com/tappet-dev/tappet/plugins/wasm/meter"
	"github.com/tappet-dev/tappet/plugins/wasm/scan"
	"github.com/tappet-dev/tappet/sdk"
	"github.com/tappet-dev/tappet/sdk/sdktest"
)

// A way is one way to the traps plugin's action echo.
type way struct {
	name string
	open func(b *testing.B) sdk.Connector
}

func ways() []way {
	return []way{
		{"process", func(*testing.B) sdk.Connector {
			return sdk.Connector{Actions: []sdk.Action{{Name: "echo", Do: echo}}}
		}},
		{"metered", func(b *testing.B) sdk.Connector {
			b.Helper()
			return open(b, wasm.Limits{}, &log{})
		}},
		{"unmetered", func(b *testing.B) sdk.Connector {
			b.Helper()
			e := newEngine(b, wasm.Limits{})
			wasm.Unmeter(e)
			return guest.Connector(b, newModule(b, e, guest.WASM(b, guest.Traps), &log{}))
		}},
		{"native", func(b *testing.B) sdk.Connector {
			b.Helper()
			p, err := native.Load(b.Context(), guest.Native(b, guest.Traps), b.TempDir(), native.Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = p.Close() })
			return guest.Connector(b, p)
		}},
	}
}

func echo(_ context.Context, _ sdk.Host, c sdk.ActionCall) (sdk.Result, error) {
	return sdk.Result{Output: c.Input.JSON()}, nil
}

// BenchmarkCall is a call with 300 B and with 100 KB each way: in this process,
// over this pipe with and without its meter, and over the other.
func BenchmarkCall(b *testing.B) {
	for _, size := range []int{300, 100 << 10} {
		for _, w := range ways() {
			b.Run(fmt.Sprintf("%d/%s", size, w.name), func(b *testing.B) { guest.BenchmarkSized(b, w.open(b), size) })
		}
	}
}

// BenchmarkRatio calls each way in turn, so that all see the same machine, and
// reports the best round of each and what they are to each other, beside what that
// is to be at most.
func BenchmarkRatio(b *testing.B) {
	const calls = 20
	for _, size := range []int{300, 100 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			h := sdktest.NewHost(b, sdktest.HostOptions{})
			in := sdk.ActionCall{Action: "echo", Input: sdk.Fields{{Name: "text", Value: json.RawMessage(`"` + strings.Repeat("x", size-2) + `"`)}}}
			best := map[string]float64{}
			dos := map[string]func(context.Context, sdk.Host, sdk.ActionCall) (sdk.Result, error){}
			for _, w := range ways() {
				dos[w.name] = guest.Action(b, w.open(b), "echo").Do
			}
			for b.Loop() {
				for name, do := range dos {
					began := time.Now()
					for range calls {
						if _, err := do(b.Context(), h, in); err != nil {
							b.Fatal(err)
						}
					}
					if t := float64(time.Since(began).Microseconds()) / calls; best[name] == 0 || t < best[name] {
						best[name] = t
					}
				}
			}
			for name, t := range best {
				b.ReportMetric(t, name+"-µs")
			}
			b.ReportMetric(best["metered"]/best["unmetered"], "metered/unmetered")
			b.ReportMetric(1.1, "target-metered/unmetered")
			b.ReportMetric(best["metered"]/best["native"], "metered/native")
			if size == 300 {
				b.ReportMetric(0.15, "target-metered/native")
			}
		})
	}
}

// BenchmarkSpin is a guest's own work, where a meter may cost: encoding and
// decoding JSON, 2,000 times.
func BenchmarkSpin(b *testing.B) {
	for _, w := range ways()[1:3] {
		b.Run(w.name, func(b *testing.B) {
			c := w.open(b)
			for b.Loop() {
				if _, err := guest.Trap(b.Context(), b, c, "work"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLoad is what loading the traps plugin costs.
func BenchmarkLoad(b *testing.B) {
	module, err := os.ReadFile(guest.WASM(b, guest.Traps))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("scan", func(b *testing.B) {
		for b.Loop() {
			if _, err := scan.Parse(module, scan.Limits{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("meter", func(b *testing.B) {
		m, err := scan.Parse(module, scan.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := meter.Rewrite(m, meter.Options{Module: "tappet_1", Name: "swap"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	load := func(b *testing.B, dir string) {
		b.Helper()
		e, err := wasm.New(wasm.Options{CacheDir: dir})
		if err != nil {
			b.Fatal(err)
		}
		m, err := e.Load(b.Context(), module, nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			load(b, b.TempDir())
		}
	})
	b.Run("cached", func(b *testing.B) {
		dir := b.TempDir()
		load(b, dir)
		for b.Loop() {
			load(b, dir)
		}
	})
	b.Run("instance", func(b *testing.B) {
		// Each call makes an instance, since none is small enough to be kept.
		m := newModule(b, newEngine(b, wasm.Limits{Recycle: 1}), guest.WASM(b, guest.Traps), &log{})
		for b.Loop() {
			if _, err := pipe.Describe(b.Context(), m); err != nil {
				b.Fatal(err)
			}
		}
	})
}
