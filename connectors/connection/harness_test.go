package connection_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/connectors/connection"
	"github.com/tappet-dev/tappet/internal/egress"
	"github.com/tappet-dev/tappet/internal/seal"
	"github.com/tappet-dev/tappet/sdk"
)

// memory is a Store and Tickets in memory.
type memory struct {
	mu      sync.Mutex
	records map[string]connection.Record
	tickets map[string]connection.Ticket
	saves   int
	broken  error // what Save gives
}

var (
	_ connection.Store   = (*memory)(nil)
	_ connection.Tickets = (*memory)(nil)
)

func (m *memory) List(context.Context) ([]connection.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []connection.Record
	for _, r := range m.records {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b connection.Record) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func (m *memory) Get(_ context.Context, name string) (connection.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.records[name]
	if !ok {
		return r, connection.ErrNotFound
	}
	return r, nil
}

func (m *memory) Create(_ context.Context, r connection.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.records[r.Name]; ok {
		return connection.ErrExists
	}
	m.records[r.Name] = r
	return nil
}

func (m *memory) Save(_ context.Context, r connection.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	if m.records[r.Name].ID != r.ID {
		return connection.ErrNotFound
	}
	m.records[r.Name] = r
	m.saves++
	return nil
}

func (m *memory) Delete(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, r := range m.records {
		if r.ID == id {
			delete(m.records, name)
			return nil
		}
	}
	return connection.ErrNotFound
}

func (m *memory) Put(_ context.Context, t connection.Ticket) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tickets[t.Key] = t
	return nil
}

func (m *memory) Take(_ context.Context, key string) (connection.Ticket, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.tickets[key]
	if !ok {
		return t, connection.ErrNotFound
	}
	delete(m.tickets, key)
	return t, nil
}

// house is a manager with its surroundings; the clock stands unless it is moved.
type house struct {
	*connection.Manager
	store  *memory
	egress *egress.Client

	mu  sync.Mutex
	now time.Time
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func ringOf(t testing.TB, b ...byte) *seal.Ring {
	t.Helper()
	var keys []string
	for _, c := range b {
		keys = append(keys, base64.StdEncoding.EncodeToString(slices.Repeat([]byte{c}, seal.KeyBytes)))
	}
	r, err := seal.Parse(strings.Join(keys, ","))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// newHouse makes one whose requests go out through the real transport.
func newHouse(t testing.TB, change ...func(*connection.Options)) *house {
	t.Helper()
	allow, err := egress.ParseAllow([]string{"127.0.0.1", "::1"})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{
		store:  &memory{records: map[string]connection.Record{}, tickets: map[string]connection.Ticket{}},
		egress: egress.New(egress.Options{Allow: allow}), now: time.Now(),
	}
	t.Cleanup(h.egress.Close)
	o := connection.Options{
		Store: h.store, Tickets: h.store, Seal: ringOf(t, 1), Clock: h.clock, PublicURL: "http://tappet.test", Insecure: true,
		Send: func(ctx context.Context, _ *tls.Config, r *sdk.Request) (*sdk.Response, error) { return h.send(ctx, r) },
	}
	for _, f := range change {
		f(&o)
	}
	h.Manager = connection.New(o)
	t.Cleanup(h.Close)
	return h
}

func (h *house) send(ctx context.Context, r *sdk.Request) (*sdk.Response, error) {
	return h.egress.Do(ctx, r, func(egress.Exchange) {})
}

// create adds the connection "c".
func (h *house) create(t testing.TB, kind, config string, hosts ...string) connection.View {
	t.Helper()
	v, err := h.Create(t.Context(), connection.Draft{Name: "c", Kind: kind, Config: json.RawMessage(config), Hosts: hosts})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// get asks for a URL with the connection "c".
func (h *house) get(ctx context.Context, url string) (int, string, error) {
	return h.do(ctx, &sdk.Request{URL: url})
}

func (h *house) do(ctx context.Context, r *sdk.Request) (int, string, error) {
	resp, err := h.Do(ctx, "c", r, h.send)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.Status, string(b), err
}

// sent gives the request as it would go out with the connection "c".
func (h *house) sent(t testing.TB, r *sdk.Request) *sdk.Request {
	t.Helper()
	var out *sdk.Request
	resp, err := h.Do(t.Context(), "c", r, func(_ context.Context, r *sdk.Request) (*sdk.Response, error) {
		out = r
		return &sdk.Response{Status: 200, Body: http.NoBody}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return out
}

// body makes a request with a text.
func body(url, text string) *sdk.Request {
	return &sdk.Request{
		Method: "POST", URL: url, Body: strings.NewReader(text), Size: int64(len(text)),
		Reopen: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
	}
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func problems(t testing.TB, err error) string {
	t.Helper()
	var p connection.Problems
	if !errors.As(err, &p) {
		t.Fatalf("%v, want problems", err)
	}
	return p.Error()
}
