package native_test

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/plugins/internal/guest"
	"github.com/tappet-dev/tappet/plugins/native"
	"github.com/tappet-dev/tappet/sdk"
)

// TestSec04_NativePipeIsMutualTLS talks to the plugin's socket the way that
// another process of the same user could.
func TestSec04_NativePipeIsMutualTLS(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	load(t, guest.Native(t, guest.Traps), native.Options{})
	found, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*", "plugin*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("sockets: %v, %v", found, err)
	}
	dial := func() net.Conn {
		t.Helper()
		var d net.Dialer
		c, err := d.DialContext(t.Context(), "unix", found[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	plain := dial()
	defer plain.Close()
	// The preface and the settings of HTTP/2 (RFC 9113, 3.4), to which a plain
	// server answers with its own settings, a frame of type 4.
	if _, err := plain.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 9)
	if n, _ := plain.Read(answer); n >= 4 && answer[3] == 4 {
		t.Error("the plugin answers who doesn't speak TLS")
	}
	c := tls.Client(dial(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // the point is what the other side asks for
	defer func() { _ = c.Close() }()
	err = c.HandshakeContext(t.Context())
	if err == nil {
		_, err = c.Read(answer) // TLS 1.3 tells after the client's own part
	}
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without a certificate: %v", err)
	}
}

func TestSec04_NativeStartIsLimited(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hangs")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nsleep 3600\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := native.Load(t.Context(), path, t.TempDir(), native.Options{Limits: native.Limits{Start: 100 * time.Millisecond}})
	if sdk.KindOf(err) != sdk.Timeout || !strings.Contains(err.Error(), "nothing before serve.Main may block") {
		t.Errorf("%v, kind timeout is wanted", err)
	}
}

func TestSec04_StuckNativeIsKilled(t *testing.T) {
	t.Parallel()
	p := load(t, guest.Native(t, guest.Traps), native.Options{Limits: native.Limits{Grace: 50 * time.Millisecond, Backoff: time.Millisecond}})
	before := p.PID()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := guest.Trap(ctx, t, guest.Connector(t, p), "spin")
	if sdk.KindOf(err) != sdk.Timeout || !strings.Contains(err.Error(), "its process was killed") {
		t.Errorf("%v", err)
	}
	for deadline := time.Now().Add(5 * time.Second); alive(before); {
		if time.Now().After(deadline) {
			t.Fatalf("the process %d still runs", before)
		}
		<-time.After(10 * time.Millisecond)
	}
}
