package connection

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// A Manager adds the credentials of connections to requests and keeps them
// alive. It is safe for concurrent use, and the only one that writes its Store.
type Manager struct {
	o      Options
	limits Limits
	kinds  map[string]*Kind
	// entries are by name, one for each name that was ever asked for. The map is
	// never written: adding, which is rare, replaces it.
	entries atomic.Pointer[map[string]*entry]
	adding  sync.Mutex
	// flights are refreshes under way; ended says that no more may begin.
	flights sync.WaitGroup
	endMu   sync.RWMutex
	ended   bool
}

// An entry is what is known of one name.
type entry struct {
	// writing is held, by sending into it, by the one who edits, refreshes or
	// opens the connection.
	writing chan struct{}
	// session is the connection as it is stored; nil: not opened yet.
	session atomic.Pointer[session]
}

// A session is one stored version of a connection, ready to be used.
type session struct {
	id    string
	kind  *Kind
	hosts *Hosts
	auth  auth
	renew renewer // auth, or nil
	// confined: a redirect must not leave the origin.
	confined bool
	tls      *tls.Config
	testURL  string
}

// New returns a manager. It opens a connection when it is first used.
func New(o Options) *Manager {
	m := &Manager{o: o, limits: o.Limits.withDefaults(), kinds: map[string]*Kind{}}
	if m.o.Clock == nil {
		m.o.Clock = time.Now
	}
	m.entries.Store(&map[string]*entry{})
	kinds := Kinds()
	for i := range kinds {
		m.kinds[kinds[i].Name] = &kinds[i]
	}
	return m
}

// Close waits for refreshes under way, whose tokens would be lost, and allows no
// more. It may be called twice.
func (m *Manager) Close() {
	m.endMu.Lock()
	m.ended = true
	m.endMu.Unlock()
	m.flights.Wait()
}

// fly runs f beside its caller, unless the manager is closed.
func (m *Manager) fly(f func()) bool {
	m.endMu.RLock()
	defer m.endMu.RUnlock()
	if !m.ended {
		m.flights.Go(f)
	}
	return !m.ended
}

func (m *Manager) entry(name string) *entry {
	if e := (*m.entries.Load())[name]; e != nil {
		return e
	}
	m.adding.Lock()
	defer m.adding.Unlock()
	all := maps.Clone(*m.entries.Load())
	if e := all[name]; e != nil {
		return e
	}
	e := &entry{writing: make(chan struct{}, 1)}
	all[name] = e
	m.entries.Store(&all)
	return e
}

// lock makes the caller the one who writes.
func (e *entry) lock(ctx context.Context) (unlock func(), err error) {
	select {
	case e.writing <- struct{}{}:
		return func() { <-e.writing }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// open gives the session of a connection.
func (m *Manager) open(ctx context.Context, name string) (*session, error) {
	if !validName(name) {
		return nil, notThere(name)
	}
	e := m.entry(name)
	if s := e.session.Load(); s != nil {
		return s, nil
	}
	unlock, err := e.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if s := e.session.Load(); s != nil {
		return s, nil
	}
	r, err := m.o.Store.Get(ctx, name)
	if err != nil {
		return nil, storeError(name, err)
	}
	c, kept, err := m.unseal(r)
	if err != nil {
		return nil, err
	}
	s, problems := m.session(r, c, kept.Tokens)
	if problems != nil {
		return nil, sdk.Errorf(sdk.Invalid, "the connection %q can't be used as it is stored: %w", name, problems)
	}
	e.session.Store(s)
	return s, nil
}

func notThere(name string) error {
	return sdk.Errorf(sdk.NotFound, "the connection %.64q isn't there; create it, or name another one", name)
}

func storeError(name string, err error) error {
	if errors.Is(err, ErrNotFound) {
		return notThere(name)
	}
	var e *sdk.Error
	if errors.As(err, &e) {
		return err
	}
	return sdk.Errorf(sdk.Unavailable, "the connection %q can't be read or written: %w", name, err)
}

// named says in an error which connection it is about; its kind stays.
func named(name string, err error) error {
	var e *sdk.Error
	if errors.As(err, &e) {
		return &sdk.Error{Kind: e.Kind, RetryAfter: e.RetryAfter, Err: fmt.Errorf("connection %q: %w", name, err)}
	}
	return &sdk.Error{Kind: sdk.KindOf(err), Err: fmt.Errorf("connection %q: %w", name, err)}
}

// Do sends a request with the credentials of a connection. Where the service
// refuses them, and others can be had, it gets those and sends the request once
// more, if its body can be had again; else the refusal is the response, and the
// next request has the new ones. r stays as it is.
//
// Errors are those of next, and of its own: kind not_found where there is no
// such connection, denied where the host isn't one of its, unauthorized where
// somebody has to authorise it again, unavailable and the like where a token
// can't be had for now.
func (m *Manager) Do(ctx context.Context, name string, r *sdk.Request, next Doer) (*sdk.Response, error) {
	s, err := m.open(ctx, name)
	if err != nil {
		return nil, err
	}
	out := *r
	mark, err := s.prepare(ctx, &out)
	if errors.Is(err, errReplaced) { // edited while its token was refreshed
		if s, err = m.open(ctx, name); err != nil {
			return nil, err
		}
		out = *r
		mark, err = s.prepare(ctx, &out)
	}
	if err != nil {
		return nil, named(name, err)
	}
	resp, err := next(ctx, &out)
	if err != nil || s.renew == nil || !s.renew.refused(resp) {
		return resp, err
	}
	if !s.renew.renewable(mark, resp) {
		return resp, nil
	}
	if r.Body != nil && r.Reopen == nil {
		_ = s.renew.renew(ctx, mark, resp, false) // it was begun, or is logged
		return resp, nil
	}
	_ = resp.Body.Close() // it holds its place at the host
	if err := s.renew.renew(ctx, mark, resp, true); err != nil {
		return nil, named(name, err)
	}
	out = *r
	if _, err := s.prepare(ctx, &out); err != nil {
		return nil, named(name, err)
	}
	if r.Body == nil {
		return next(ctx, &out)
	}
	body, err := r.Reopen()
	if err != nil {
		return nil, named(name, sdk.Errorf(sdk.Failed, "the body can't be had again: %w", err))
	}
	out.Body = body
	resp, err = next(ctx, &out)
	if err != nil {
		_ = body.Close()
		return nil, err
	}
	resp.Body = &both{resp.Body, body}
	return resp, nil
}

// both closes the body of a request with that of its response.
type both struct {
	io.ReadCloser
	request io.Closer
}

func (b *both) Close() error {
	_ = b.request.Close()
	return b.ReadCloser.Close()
}

// prepare checks where r goes and adds the credentials.
func (s *session) prepare(ctx context.Context, r *sdk.Request) (mark string, err error) {
	if s.kind.NeedsHosts || len(s.hosts.list) > 0 {
		if err := s.hosts.check(r.URL); err != nil {
			return "", err
		}
	}
	from, asked := r.URL, r.Redirect
	if mark, err = s.auth.authorize(ctx, r); err != nil {
		return "", err
	}
	if s.confined {
		r.Redirect = func(to string) error {
			if !sameOrigin(from, to) {
				return sdk.Errorf(sdk.Denied, "the service redirects to another origin, where the credentials of this connection must not go; call that address itself")
			}
			if asked != nil {
				return asked(to)
			}
			return nil
		}
	}
	return mark, nil
}

// TLS gives the TLS that requests of a connection need: a client certificate,
// authorities of its own. Nil: nothing special. The host keeps a transport for
// it, whose connections no other connection shares; a connection that was edited
// gives another pointer. It must not be changed.
func (m *Manager) TLS(ctx context.Context, name string) (*tls.Config, error) {
	s, err := m.open(ctx, name)
	if err != nil {
		return nil, err
	}
	return s.tls, nil
}

// Hidden lists the texts that records and logs of a call with this connection
// must not show. It is asked after the call, which may have got a new token.
func (m *Manager) Hidden(ctx context.Context, name string) ([]string, error) {
	s, err := m.open(ctx, name)
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, t := range s.auth.hidden() {
		if t != "" {
			texts = append(texts, t)
		}
	}
	return texts, nil
}
