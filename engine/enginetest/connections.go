package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tappet-dev/tappet/engine"
)

func newConnection(n int) engine.StoredConnection {
	return engine.StoredConnection{
		ID: fmt.Sprintf("id-%d", n), Name: fmt.Sprintf("c%d", n), Kind: "basic", Title: "Bücher \x00", Config: json.RawMessage(`{"username":"é"}`),
		Hosts: []string{"api.example.com", "*.example.com:8443"}, Sealed: []byte{1, 0, 255}, State: "ready", Message: "",
		CreatedAt: at, UpdatedAt: at,
	}
}

func wantKind(t *testing.T, what string, err error, want engine.Kind) {
	t.Helper()
	if !errors.Is(err, &engine.Error{Kind: want}) {
		t.Errorf("%s: %v; want %s", what, err, want)
	}
}

func connections(t *testing.T, s Store) {
	ctx := t.Context()
	if got, err := s.Connections(ctx); err != nil || len(got) != 0 {
		t.Errorf("connections of a new store: %v, %v", got, err)
	}
	one, two := newConnection(1), newConnection(2)
	for _, c := range []engine.StoredConnection{two, one} {
		if err := s.CreateConnection(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	saved := two
	saved.Name, saved.CreatedAt = "renamed", at.Add(time.Hour) // neither ever changes
	saved.Kind, saved.Title, saved.Config, saved.Hosts = "bearer", "", json.RawMessage(`{}`), []string{}
	saved.Sealed, saved.State, saved.Message, saved.UpdatedAt = []byte("x"), "failing", "why", at.Add(time.Minute)
	if err := s.SaveConnection(ctx, saved); err != nil {
		t.Fatal(err)
	}
	saved.Name, saved.CreatedAt = two.Name, two.CreatedAt
	got, err := s.Connections(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]engine.StoredConnection{one, saved}, got); diff != "" {
		t.Errorf("connections (-want +got):\n%s", diff)
	}
	if c, err := s.Connection(ctx, "c2"); err != nil || !cmp.Equal(c, saved) {
		t.Errorf("connection: %+v, %v", c, err)
	}
	if err := s.DeleteConnection(ctx, one.ID); err != nil {
		t.Error(err)
	}
	_, err = s.Connection(ctx, "c1")
	wantKind(t, "read", err, engine.NotFound)
	wantKind(t, "save", s.SaveConnection(ctx, one), engine.NotFound)
	wantKind(t, "delete", s.DeleteConnection(ctx, one.ID), engine.NotFound)
}

func connectionNames(t *testing.T, s Store) {
	ctx := t.Context()
	if err := s.CreateConnection(ctx, newConnection(1)); err != nil {
		t.Fatal(err)
	}
	other := newConnection(2)
	other.Name = "c1"
	wantKind(t, "create", s.CreateConnection(ctx, other), engine.Conflict)
	if err := s.DeleteConnection(ctx, "id-1"); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateConnection(ctx, other); err != nil {
		t.Errorf("the name isn't free after deletion: %v", err)
	}
}

func tickets(t *testing.T, s Store) {
	ctx := t.Context()
	put := func(key string, expires time.Time, now time.Time) {
		t.Helper()
		if err := s.PutTicket(ctx, engine.StoredTicket{Key: key, Sealed: []byte(key), ExpiresAt: expires}, now); err != nil {
			t.Fatal(err)
		}
	}
	put("old", at.Add(time.Minute), at)
	put("one", at.Add(time.Hour), at.Add(time.Minute))
	_, err := s.TakeTicket(ctx, "old")
	wantKind(t, "expired", err, engine.NotFound)
	var taken atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			x, err := s.TakeTicket(context.WithoutCancel(ctx), "one")
			switch {
			case err != nil:
				wantKind(t, "take", err, engine.NotFound)
			case string(x.Sealed) != "one" || !x.ExpiresAt.Equal(at.Add(time.Hour)) || x.Key != "one":
				t.Errorf("ticket %+v", x)
			default:
				taken.Add(1)
			}
		})
	}
	all.Wait()
	if n := taken.Load(); n != 1 {
		t.Errorf("the ticket was given %d times", n)
	}
}

func secrets(t *testing.T, s Store) {
	ctx := t.Context()
	b := engine.StoredSecret{Name: "b", Sealed: []byte{0, 1}, CreatedAt: at, UpdatedAt: at}
	a := engine.StoredSecret{Name: "a", Sealed: []byte("a"), CreatedAt: at, UpdatedAt: at}
	again := engine.StoredSecret{Name: "b", Sealed: []byte("new"), CreatedAt: at.Add(time.Hour), UpdatedAt: at.Add(time.Hour)}
	for _, x := range []engine.StoredSecret{b, a, again} {
		if err := s.PutSecret(ctx, x); err != nil {
			t.Fatal(err)
		}
	}
	again.CreatedAt = b.CreatedAt
	got, err := s.StoredSecrets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]engine.StoredSecret{a, again}, got); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	if x, err := s.StoredSecret(ctx, "b"); err != nil || !cmp.Equal(x, again) {
		t.Errorf("secret: %+v, %v", x, err)
	}
	if err := s.DeleteSecret(ctx, "b"); err != nil {
		t.Error(err)
	}
	_, err = s.StoredSecret(ctx, "b")
	wantKind(t, "read", err, engine.NotFound)
	wantKind(t, "delete", s.DeleteSecret(ctx, "b"), engine.NotFound)
}
