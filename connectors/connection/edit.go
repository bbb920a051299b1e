package connection

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tappet-dev/tappet/sdk"
)

// maxTitle is how long a connection's title may be, in bytes.
const maxTitle = 200

// A Draft is a connection as a user writes it.
type Draft struct {
	Name  string
	Kind  string
	Title string
	// Config is a JSON object of the kind's fields. Of an update, secrets that it
	// leaves out stay, null takes one away, and every other field is what it says.
	Config json.RawMessage
	Hosts  []string
}

// A View is a connection as it is shown: without anything secret.
type View struct {
	Name, Kind, Title string
	// Config has the fields that aren't secret; callback_url too.
	Config json.RawMessage
	Hosts  []string
	// Set lists the secret fields that have a value.
	Set     []string
	State   State
	Message string
	// ExpiresAt is when the access token expires; zero: it isn't known.
	ExpiresAt            time.Time
	CreatedAt, UpdatedAt time.Time
}

// Create adds a connection. Errors are Problems, ErrExists, and of the Store.
func (m *Manager) Create(ctx context.Context, d Draft) (View, error) {
	var problems Problems
	if !validName(d.Name) {
		problems.add("name", "isn't a name: a to z, then up to 63 of a to z, 0 to 9, _ and -")
	}
	k := m.kinds[d.Kind]
	if k == nil {
		problems.add("kind", "%q is none of %s", d.Kind, strings.Join(sorted(m.kinds), ", "))
		if _, err := ParseHosts(d.Hosts); err != nil {
			problems.add("hosts", "%v", err)
		}
		return View{}, problems
	}
	if problems != nil {
		m.checked(k, &Record{Name: d.Name, Kind: d.Kind}, d, &sealed{}, &problems)
		return View{}, problems
	}
	e := m.entry(d.Name)
	unlock, err := e.lock(ctx)
	if err != nil {
		return View{}, err
	}
	defer unlock()
	id, err := uuid.NewV7()
	if err != nil {
		return View{}, err
	}
	now := m.o.Clock().UTC()
	r := Record{ID: id.String(), Name: d.Name, Kind: d.Kind, CreatedAt: now}
	return m.put(ctx, e, k, r, d, sealed{}, m.o.Store.Create)
}

// Update replaces a connection; its name and kind stay. Where its credentials
// could go elsewhere than before, they have to be given again: the right to edit
// is no right to read. Errors are Problems, ErrNotFound, and of the Store.
func (m *Manager) Update(ctx context.Context, name string, d Draft) (View, error) {
	if !validName(name) {
		return View{}, ErrNotFound
	}
	e := m.entry(name)
	unlock, err := e.lock(ctx)
	if err != nil {
		return View{}, err
	}
	defer unlock()
	r, err := m.o.Store.Get(ctx, name)
	if err != nil {
		return View{}, err
	}
	k := m.kinds[r.Kind]
	var problems Problems
	if d.Kind != "" && d.Kind != r.Kind || k == nil {
		problems.add("kind", "is %s and can't be changed; create another connection", r.Kind)
	}
	if d.Name != "" && d.Name != name {
		problems.add("name", "can't be changed")
	}
	if problems != nil {
		return View{}, problems
	}
	before, kept, err := m.unseal(r)
	if err != nil && sdk.KindOf(err) != sdk.Unauthorized { // what can't be read can be given again
		return View{}, err
	}
	if m.moved(k, r, d, before) {
		var given map[string]json.RawMessage
		_ = json.Unmarshal(d.Config, &given) // put says what is wrong with it
		for _, field := range sorted(kept.Secrets) {
			if given[field] == nil {
				problems.add("config."+field, "has to be given again, since it may now be sent to other hosts than before")
			}
		}
		if problems != nil {
			return View{}, problems
		}
		kept = sealed{}
	}
	kept.Tokens = keepTokens(kept.Tokens, d.Config, before.text)
	return m.put(ctx, e, k, r, d, kept, m.o.Store.Save)
}

// moved says whether a draft lets the credentials go where the record didn't.
func (m *Manager) moved(k *Kind, r Record, d Draft, before config) bool {
	old, err := ParseHosts(r.Hosts)
	if err != nil {
		return true
	}
	hosts, err := ParseHosts(d.Hosts)
	if err != nil {
		return false // a problem anyway
	}
	var problems Problems
	after := k.read(d.Config, nil, m.limits.Config, &problems)
	return !old.covers(hosts) || before.text["token_url"] != after.text["token_url"]
}

// put checks a draft and stores it.
func (m *Manager) put(ctx context.Context, e *entry, k *Kind, r Record, d Draft, kept sealed, store func(context.Context, Record) error) (View, error) {
	var problems Problems
	c, s := m.checked(k, &r, d, &kept, &problems)
	if err := problems.err(); err != nil {
		return View{}, err
	}
	r.Config, kept.Secrets = k.split(c)
	delete(kept.Secrets, "access_token") // they are tokens now
	delete(kept.Secrets, "refresh_token")
	r.State, r.Message = Ready, ""
	if r.Kind == kindOAuth {
		r.State, r.Message = standing(c, newToken(kept.Tokens), m.o.Clock())
	}
	if err := m.seal(&r, kept); err != nil {
		return View{}, err
	}
	if err := store(ctx, r); err != nil {
		return View{}, err
	}
	e.session.Store(s)
	return m.view(r, c, kept), nil
}

// checked takes a draft into a record, with all that is wrong with it.
func (m *Manager) checked(k *Kind, r *Record, d Draft, kept *sealed, problems *Problems) (config, *session) {
	if len(d.Title) > maxTitle {
		problems.add("title", "has %d bytes; at most %d are taken", len(d.Title), maxTitle)
	}
	r.Title, r.Hosts, r.UpdatedAt = d.Title, slices.Clone(d.Hosts), m.o.Clock().UTC()
	c := k.read(d.Config, kept.Secrets, m.limits.Config, problems)
	kept.Tokens = pasted(kept.Tokens, c.text)
	return c, m.sessionOf(*r, c, kept.Tokens, problems)
}

// Get shows a connection; ErrNotFound where there is none.
func (m *Manager) Get(ctx context.Context, name string) (View, error) {
	r, err := m.o.Store.Get(ctx, name)
	if err != nil {
		return View{}, err
	}
	return m.show(r), nil
}

// List shows all connections, in the order of their names.
func (m *Manager) List(ctx context.Context) ([]View, error) {
	records, err := m.o.Store.List(ctx)
	if err != nil {
		return nil, err
	}
	views := make([]View, len(records))
	for i, r := range records {
		views[i] = m.show(r)
	}
	return views, nil
}

// show is view of a record that may not open; that is then its message.
func (m *Manager) show(r Record) View {
	c, kept, err := m.unseal(r)
	v := m.view(r, c, kept)
	if err != nil {
		v.State, v.Message = NeedsAuthorization, err.Error()
	}
	return v
}

// view shows a record with the state that it has now: a token expires though
// nobody says so.
func (m *Manager) view(r Record, c config, kept sealed) View {
	if r.Kind == kindOAuth && r.State != NeedsAuthorization {
		if s, why := standing(c, newToken(kept.Tokens), m.o.Clock()); s != Ready {
			r.State, r.Message = s, why
		}
	}
	v := View{
		Name: r.Name, Kind: r.Kind, Title: r.Title, Config: r.Config, Hosts: r.Hosts, State: r.State, Message: r.Message,
		ExpiresAt: kept.Tokens.ExpiresAt, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, Set: sorted(kept.Secrets),
	}
	if kept.Tokens.Access != "" {
		v.Set = append(v.Set, "access_token")
	}
	if kept.Tokens.Refresh != "" {
		v.Set = append(v.Set, "refresh_token")
	}
	slices.Sort(v.Set)
	if r.Kind == kindOAuth && m.o.PublicURL != "" {
		var shown map[string]any
		if json.Unmarshal(r.Config, &shown) == nil {
			shown["callback_url"] = m.CallbackURL()
			var b bytes.Buffer
			write(&b, shown)
			v.Config = b.Bytes()
		}
	}
	return v
}

// Delete removes a connection; ErrNotFound where there is none. Calls under way
// go on.
func (m *Manager) Delete(ctx context.Context, name string) error {
	if !validName(name) {
		return ErrNotFound
	}
	e := m.entry(name)
	unlock, err := e.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := m.o.Store.Get(ctx, name)
	if err != nil {
		return err
	}
	if err := m.o.Store.Delete(ctx, r.ID); err != nil {
		return err
	}
	e.session.Store(nil)
	return nil
}

// A Tested says how a test went.
type Tested struct {
	OK bool
	// Tried: the service or the provider was asked, or couldn't be reached.
	Tried bool
	// Status is that of the service's answer; 0: none was asked for, or came.
	Status  int
	Message string
}

// judging is how long the state of a connection that was tried out may take to
// be written: a refresh may be under way.
const judging = 5 * time.Second

// Test tries a connection out: its credentials open, a token that is due is
// refreshed, and where it has an address for tests, that answers below 400. What
// came out of it becomes the connection's state, unless the caller took the
// question back; no answer before ctx's deadline is one. ErrNotFound where there
// is none.
func (m *Manager) Test(ctx context.Context, name string) (Tested, error) {
	if _, err := m.o.Store.Get(ctx, name); err != nil {
		return Tested{}, err
	}
	t := m.try(ctx, name)
	if errors.Is(ctx.Err(), context.Canceled) {
		return t, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), judging)
	defer cancel()
	return t, m.judge(ctx, name, t)
}

func (m *Manager) try(ctx context.Context, name string) Tested {
	s, err := m.open(ctx, name)
	if err != nil {
		return Tested{Message: err.Error()}
	}
	o, ok := s.auth.(*oauth)
	if ok {
		if err := o.renewed(ctx); err != nil {
			return Tested{Tried: true, Message: err.Error()}
		}
	}
	switch {
	case s.testURL != "":
	case ok:
		return Tested{OK: true, Message: "there is an access token; with a test_url it would be tried out"}
	default:
		return Tested{OK: true, Message: "the credentials are complete; with a test_url they would be tried out"}
	}
	r, err := m.Do(ctx, name, &sdk.Request{Method: "GET", URL: s.testURL}, func(ctx context.Context, r *sdk.Request) (*sdk.Response, error) {
		return m.o.Send(ctx, s.tls, r)
	})
	if err != nil {
		return Tested{Tried: true, Message: err.Error()}
	}
	_ = r.Body.Close()
	t := Tested{OK: r.Status < 400, Tried: true, Status: r.Status, Message: "the service has accepted them"}
	if !t.OK {
		t.Message = "the service has answered " + statusText(r.Status) + " at the address for tests"
	}
	return t
}

// judge stores what a test has found, unless somebody has to authorise the
// connection anyway.
func (m *Manager) judge(ctx context.Context, name string, t Tested) error {
	unlock, err := m.entry(name).lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := m.o.Store.Get(ctx, name)
	if err != nil || r.State == NeedsAuthorization {
		return err
	}
	state, message := Ready, ""
	if !t.OK {
		state, message = Failing, t.Message
	}
	if r.State == state && r.Message == message {
		return nil
	}
	r.State, r.Message, r.UpdatedAt = state, message, m.o.Clock().UTC()
	return m.o.Store.Save(ctx, r)
}

// Reseal brings every connection under the first key of the ring, and says how
// many weren't.
func (m *Manager) Reseal(ctx context.Context) (changed int, err error) {
	records, err := m.o.Store.List(ctx)
	if err != nil {
		return 0, err
	}
	for _, r := range records {
		done, e := m.reseal(ctx, r.Name)
		if done {
			changed++
		}
		if e != nil && !errors.Is(e, ErrNotFound) {
			err = errors.Join(err, named(r.Name, e))
		}
	}
	return changed, err
}

func (m *Manager) reseal(ctx context.Context, name string) (bool, error) {
	unlock, err := m.entry(name).lock(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	r, err := m.o.Store.Get(ctx, name)
	if err != nil {
		return false, err
	}
	box, changed, err := m.o.Seal.Reseal(r.Sealed, place(r.ID))
	if err != nil || !changed {
		return false, err
	}
	r.Sealed = box
	return true, m.o.Store.Save(ctx, r)
}
