package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tappet-dev/tappet/internal/egress/governor"
	"github.com/tappet-dev/tappet/sdk"
)

// An Exchange is the record of one call of Send: what was sent, what came back
// and how long it took.
type Exchange struct {
	Method string
	// URL is the request's own, without userinfo. Its query is not masked.
	URL string
	// Redirects are the URLs that were followed, in order, without userinfo.
	Redirects []string
	// Status is that of the last response, 0 if none came.
	Status int
	// Started is when Send was called.
	Started time.Time
	// Waited is how long the call has waited for its turn, at all its hosts, and
	// WaitReason is why it did last, "" if it didn't; see governor.Why.
	Waited     time.Duration
	WaitReason string
	// DNS, Connect and TLS are what was spent on connections that were opened
	// for this call, redirects included; 0 where a connection was reused.
	DNS, Connect, TLS time.Duration
	// FirstByte is from Started, without Waited, to the first byte of the last
	// response.
	FirstByte time.Duration
	// Total is from Started to the end of the body, or to the failure, the wait
	// included.
	Total time.Duration
	// Reused says that the last connection had been used before.
	Reused bool
	// Remote is the address and port of the last connection, "" if none was made.
	Remote string
	// Sent and Received count the bytes of bodies: as sent (one in memory
	// counts whole when it was written or answered), and as received before
	// decompression.
	Sent, Received int64
	// Kind and Error are of the failure, "" if there was none.
	Kind  sdk.Kind
	Error string
}

// exchange collects an Exchange. Its hooks are called by dialling goroutines,
// also after the call has ended, so they are locked.
type exchange struct {
	call Call
	// slot is the place at the host of key; only the call's own goroutine has it.
	slot governor.Slot
	key  governor.Key
	tape *tape // nil: nothing is captured
	sent atomic.Int64
	// inMemory is the size of the body under way, if it isn't counted as it is
	// read.
	inMemory atomic.Int64

	mu   sync.Mutex
	done bool
	x    Exchange
	// begun are the times at which what is under way began.
	dns, connect, handshake time.Time
}

func newExchange(r *sdk.Request, call Call) *exchange {
	method := r.Method
	if method == "" {
		method = "GET"
	}
	return &exchange{call: call, x: Exchange{Method: method, URL: withoutUserinfo(r.URL), Started: time.Now()}}
}

// withoutUserinfo cuts what stands before "@" in a URL's authority, whether or
// not the URL is valid.
func withoutUserinfo(url string) string {
	from := strings.Index(url, "//")
	if from < 0 {
		from = 0
	} else {
		from += 2
	}
	end := strings.IndexAny(url[from:], "/?#")
	if end < 0 {
		end = len(url) - from
	}
	at := strings.LastIndexByte(url[from:from+end], '@')
	if at < 0 {
		return url
	}
	return url[:from] + url[from+at+1:]
}

// exchangeKey is the key of the exchange in the context of its dials.
type exchangeKey struct{}

// trace lets the transport report to the exchange. What only a new connection
// tells is left to traceDial: most calls make none.
func (x *exchange) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(context.WithValue(ctx, exchangeKey{}, x), &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			x.note(func(time.Time) { x.x.Reused, x.x.Remote = i.Reused, i.Conn.RemoteAddr().String() })
		},
		TLSHandshakeStart: func() { x.note(func(now time.Time) { x.handshake = now }) },
		TLSHandshakeDone: func(tls.ConnectionState, error) {
			x.note(func(now time.Time) { x.x.TLS += now.Sub(x.handshake) })
		},
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			if i.Err == nil {
				x.sent.Add(x.inMemory.Swap(0))
			}
		},
		GotFirstResponseByte: func() {
			x.note(func(now time.Time) { x.x.FirstByte = now.Sub(x.x.Started) - x.x.Waited })
		},
	})
}

// traceDial lets the dialer report to the exchange that it dials for.
func traceDial(ctx context.Context) context.Context {
	x, ok := ctx.Value(exchangeKey{}).(*exchange)
	if !ok {
		return ctx
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { x.note(func(now time.Time) { x.dns = now }) },
		DNSDone: func(httptrace.DNSDoneInfo) {
			x.note(func(now time.Time) { x.x.DNS += now.Sub(x.dns) })
		},
		ConnectStart: func(_, _ string) {
			x.note(func(now time.Time) {
				if x.connect.IsZero() { // two families may be tried side by side
					x.connect = now
				}
			})
		},
		ConnectDone: func(_, _ string, err error) {
			x.note(func(now time.Time) {
				if err == nil && !x.connect.IsZero() {
					x.x.Connect += now.Sub(x.connect)
					x.connect = time.Time{}
				}
			})
		},
	})
}

// note changes the record, unless it was given away.
func (x *exchange) note(change func(now time.Time)) {
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.done {
		change(now)
	}
}

func (x *exchange) redirected(url string) {
	x.note(func(time.Time) { x.x.Redirects = append(x.x.Redirects, withoutUserinfo(url)) })
}

func (x *exchange) answered(status int, header http.Header) {
	x.note(func(time.Time) { x.x.Status = status })
	x.slot.Answered(status, header)
}

// enter notes the place at a host.
func (x *exchange) enter(key governor.Key, slot governor.Slot) {
	x.key, x.slot = key, slot
	if slot.Waited > 0 {
		x.note(func(time.Time) { x.x.Waited += slot.Waited; x.x.WaitReason = string(slot.Why) })
	}
}

// leave gives the place at a host back; err is why the call has failed there.
func (x *exchange) leave(err error) { x.slot.Done(x.fault(err)) }

// ownDeadline is a time after which a host is to blame for a call that was
// ended by its caller's deadline.
const ownDeadline = time.Second

// fault says how the host has failed, "" if it hasn't.
func (x *exchange) fault(err error) string {
	x.mu.Lock()
	status, took := x.x.Status, time.Since(x.x.Started)-x.x.Waited
	x.mu.Unlock()
	if err == nil {
		if status >= 500 {
			return strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
		}
		return ""
	}
	switch sdk.KindOf(err) {
	case sdk.Timeout:
		var own *callersDeadline
		if errors.As(err, &own) && took < ownDeadline {
			return ""
		}
	case sdk.Unavailable:
	default:
		return ""
	}
	text := err.Error()
	return text[:min(len(text), 200)]
}

// hop notes that the next send is to u.
func (x *exchange) hop(u *url.URL) {
	if x.tape != nil {
		x.tape.next(u.String())
	}
}

// fail ends the exchange with err, which it returns.
func (x *exchange) fail(err error) error {
	x.end(0, err)
	return err
}

// end gives the record and the host's place away, the first time that it is
// called.
func (x *exchange) end(received int64, err error) {
	x.mu.Lock()
	if x.done {
		x.mu.Unlock()
		return
	}
	x.done = true
	out := x.x
	x.mu.Unlock()
	x.leave(err)
	if x.tape != nil {
		x.call.Capture(x.tape.end())
	}
	if x.call.Record == nil {
		return
	}
	out.Total = time.Since(out.Started)
	out.Sent, out.Received = x.sent.Load(), received
	if out.Status != 0 { // the answer may overtake the note that all was written
		out.Sent += x.inMemory.Swap(0)
	}
	if err != nil {
		out.Kind, out.Error = sdk.KindOf(err), err.Error()
		var e *sdk.Error
		if errors.As(err, &e) && e.Op == "" && e.Err != nil {
			out.Error = e.Err.Error()
		}
	}
	x.call.Record(out)
}
