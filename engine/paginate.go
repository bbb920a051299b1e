package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/engine/internal/weblink"
	"github.com/tappet-dev/tappet/engine/machine"
	"github.com/tappet-dev/tappet/engine/program"
	"github.com/tappet-dev/tappet/sdk"
)

const (
	// maxPlace is how many bytes may lead to the next page: a URL or a cursor.
	maxPlace = 64 << 10
	// maxExchanges is how many bytes the exchanges of one attempt may take in its
	// record; what comes after them isn't recorded.
	maxExchanges = 4 << 20
)

// A caller makes one call of an action with an input and an idempotency key.
type caller func(input sdk.Fields, key string) (sdk.Result, error)

// answer makes the calls of an effect: one, or with paginate one for each page;
// success_when judges each of them. An error may be a *machine.Error.
func (e *Engine) answer(ctx context.Context, c Connector, s *program.Step, eff *machine.Effect, input sdk.Fields, call caller) (sdk.Result, error) {
	r := eff.Scene.Result()
	switch {
	case r == nil:
		res, err := call(input, eff.Idempotency)
		if err == nil {
			err = e.fits(s, res.Output)
		}
		return res, err
	case r.Paginate() == nil:
		res, err := call(input, eff.Idempotency)
		return e.judged(ctx, c, s, r, 1, res, err)
	}
	return e.pages(ctx, c, s, eff.Idempotency, &pager{Result: r, how: r.Paginate(), input: input}, call)
}

// fits holds the output of a success against what the graph's author has said of
// its members: mappings were typed by it.
func (e *Engine) fits(s *program.Step, output json.RawMessage) error {
	if len(s.Members) == 0 {
		return nil
	}
	problems := e.checkMembers(s.Members, output)
	if len(problems) == 0 {
		return nil
	}
	more := ""
	if n := len(problems) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	return sdk.Errorf(sdk.Failed, "the output isn't what the step says it is: %s: %s%s", problems[0].Pointer, problems[0].Message, more)
}

// judged is judge for a result that also has to fit.
func (e *Engine) judged(ctx context.Context, c Connector, s *program.Step, r *machine.Result, page int, res sdk.Result, err error) (sdk.Result, error) {
	if res, err = e.judge(ctx, c, r, page, res, err); err == nil {
		err = e.fits(s, res.Output)
	}
	return res, err
}

// judge makes res the result of a page and applies success_when. Without a
// result there is nothing to judge; and where the expression fails on what an
// error has brought along, that error stays.
func (e *Engine) judge(ctx context.Context, c Connector, r *machine.Result, page int, res sdk.Result, err error) (sdk.Result, error) {
	if bad := e.checkOutput(c, res.Output); bad != nil {
		return sdk.Result{}, errors.Join(err, bad)
	}
	if err != nil && (res.Output == nil || ctx.Err() != nil) {
		return res, err
	}
	r.See(res.Output, page)
	holds, says, bad := r.Success()
	switch {
	case !says || bad != nil && err != nil:
		return res, err
	case bad != nil:
		return res, bad
	case holds:
		return res, nil
	case err != nil:
		return res, fmt.Errorf("%w; success_when is false: %s", err, r.Condition())
	}
	return res, sdk.Errorf(sdk.Failed, "success_when is false: %s", r.Condition())
}

// pages asks for one page after another and gives the list of all their items,
// which is bounded as every output is.
func (e *Engine) pages(ctx context.Context, c Connector, s *program.Step, key string, p *pager, call caller) (sdk.Result, error) {
	input, err := p.first()
	if err != nil {
		return sdk.Result{}, err
	}
	first := key
	list, total := []byte{'['}, 0
	for page := 1; ; page++ {
		res, err := call(input, key)
		if res, err = e.judged(ctx, c, s, p.Result, page, res, err); err != nil {
			return res, onPage(page, err)
		}
		items, n, bad := p.items()
		if bad != nil {
			return res, onPage(page, bad)
		}
		if len(list)+len(items)+2 > e.o.Limits.OutputBytes {
			return sdk.Result{}, sdk.Errorf(sdk.TooLarge, "the items of %d pages are more than %d bytes (limits.output_bytes)", page, e.o.Limits.OutputBytes)
		}
		if n > 0 {
			if total > 0 {
				list = append(list, ',')
			}
			list = append(list, items...)
			total += n
		}
		next, place, err := p.next(n)
		if err != nil {
			return res, onPage(page, err)
		}
		if next == nil {
			break
		}
		if page == p.how.MaxPages {
			if p.how.StopAtLimit {
				break
			}
			return sdk.Result{}, p.Fail(machine.KindLimit, "max_pages",
				fmt.Sprintf("there is more after %d pages, which is max_pages; raise it, say when to end with until, or take what there is by then with on_limit: stop", page))
		}
		if err := turn(ctx, p.how.Delay); err != nil {
			return sdk.Result{}, err
		}
		// Another request needs another key; the same one in the next attempt
		// gets the same.
		input, key = next, pageKey(first, page+1, place)
	}
	return sdk.Result{Output: append(list, ']')}, nil
}

// onPage tells on which page an error came.
func onPage(page int, err error) error {
	if page == 1 {
		return err
	}
	if bad, ok := errors.AsType[*machine.Error](err); ok {
		told := *bad
		told.Message = fmt.Sprintf("page %d: %s", page, bad.Message)
		return &told
	}
	return fmt.Errorf("page %d: %w", page, err)
}

// turn waits before the next page, and tells when the attempt has ended.
func turn(ctx context.Context, d time.Duration) error {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
	if ctx.Err() != nil {
		return sdk.Errorf(sdk.Cancelled, "the attempt ended between two pages: %w", context.Cause(ctx))
	}
	return nil
}

// pageKey is the idempotency key of a further page: of the attempt's own, the
// page's number and what leads to it.
func pageKey(key string, page int, place json.RawMessage) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%s", key, page, place))
	return hex.EncodeToString(sum[:16])
}

// A pager makes the inputs of the pages of one attempt.
type pager struct {
	*machine.Result
	how *program.Paginate
	// input is that of the first page.
	input sdk.Fields
	// at is the URL in the field that is changed, nil when it holds none.
	at *url.URL
	// count is what the field takes, of the ways that count.
	count int64
}

// first gives the input of the first page.
func (p *pager) first() (sdk.Fields, error) {
	if p.how.Counts() {
		p.count = int64(p.how.Start)
		input, _, err := p.counted()
		return input, err
	}
	if p.at = absolute(lookup(p.input, p.how.Path)); p.at == nil && p.how.Way != program.PageValue {
		return nil, sdk.Errorf(sdk.Invalid, "the field %s holds no absolute URL, so paginate can't put the next one there", place(p.how.Path))
	}
	return p.input, nil
}

// items gives the items of the page without the brackets, and their number.
func (p *pager) items() (inside []byte, n int, err error) {
	doc, bad := p.Items()
	if bad != nil {
		return nil, 0, bad
	}
	doc = bytes.TrimSpace(doc)
	inside = bytes.TrimSpace(doc[1 : len(doc)-1])
	return inside, count(inside), nil
}

// next gives the input of the next page after one with n items, and what was
// put into it; nil when there is none.
func (p *pager) next(n int) (sdk.Fields, json.RawMessage, error) {
	if done, err := p.Until(); err != nil {
		return nil, nil, err
	} else if done {
		return nil, nil, nil
	}
	switch p.how.Way {
	case program.PageCount, program.PageItems:
		if n == 0 {
			return nil, nil, nil
		}
		if p.how.Way == program.PageCount {
			n = p.how.By
		}
		p.count += int64(n)
		return p.counted()
	case program.PageURL, program.PageLink, program.PageValue:
	}
	doc, bad := p.Next()
	if bad != nil {
		return nil, nil, bad
	}
	if len(doc) > maxPlace {
		return nil, nil, sdk.Errorf(sdk.TooLarge, "what leads to the next page has %d bytes, at most %d are taken", len(doc), maxPlace)
	}
	if p.how.Way == program.PageLink {
		doc = link(doc, p.how.Rel)
	}
	if doc = bytes.TrimSpace(doc); string(doc) == "null" || string(doc) == `""` {
		return nil, nil, nil
	}
	input := p.input
	if p.at != nil {
		to, err := p.follow(doc)
		if err != nil {
			return nil, nil, err
		}
		if doc, err = json.Marshal(to); err != nil {
			return nil, nil, err // a text always marshals
		}
		if p.how.Way != program.PageValue {
			input = withoutQuery(input, p.at)
		}
	}
	input, err := p.put(input, doc)
	return input, doc, err
}

// counted gives the input with the count in it.
func (p *pager) counted() (sdk.Fields, json.RawMessage, error) {
	doc := json.RawMessage(strconv.FormatInt(p.count, 10))
	input, err := p.put(p.input, doc)
	return input, doc, err
}

func (p *pager) put(input sdk.Fields, value json.RawMessage) (sdk.Fields, error) {
	out, err := put(input, p.how.Path, value)
	if err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "paginate can't set %s: %w", place(p.how.Path), err)
	}
	return out, nil
}

// follow resolves the next URL against that of the page that gave it. It
// doesn't leave the origin: what a step sends along, such as credentials, is
// for the one that the graph names.
func (p *pager) follow(doc json.RawMessage) (string, error) {
	var text string
	if err := json.Unmarshal(doc, &text); err != nil {
		return "", sdk.Errorf(sdk.Failed, "the next URL must be a text, not %.100s", doc)
	}
	ref, err := url.Parse(text)
	if err != nil {
		return "", sdk.Errorf(sdk.Failed, "the next URL can't be read: %w", err)
	}
	to := p.at.ResolveReference(ref)
	if origin(to) != origin(p.at) {
		return "", sdk.Errorf(sdk.Denied, "the next page is at %.200s, another origin than %s; paginate doesn't leave the origin of the first page", origin(to), origin(p.at))
	}
	p.at = to
	if ref.IsAbs() {
		return text, nil // as it was written
	}
	return to.String(), nil
}

// origin is scheme, host and port (RFC 6454).
func origin(u *url.URL) string {
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// absolute gives the URL that a JSON value holds, nil if it is no absolute one
// of http or https.
func absolute(doc json.RawMessage) *url.URL {
	var text string
	if len(doc) == 0 || json.Unmarshal(doc, &text) != nil {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || !strings.EqualFold(u.Scheme, "http") && !strings.EqualFold(u.Scheme, "https") {
		return nil
	}
	return u
}

// link finds a relation in what headers.link holds; null when it isn't there.
func link(doc json.RawMessage, rel string) json.RawMessage {
	var fields []string
	if json.Unmarshal(doc, &fields) != nil {
		var field string
		if json.Unmarshal(doc, &field) != nil {
			return json.RawMessage("null")
		}
		fields = []string{field}
	}
	if target, ok := weblink.Find(strings.Join(fields, ", "), rel); ok {
		if doc, err := json.Marshal(target); err == nil {
			return doc
		}
	}
	return json.RawMessage("null")
}

// withoutQuery leaves out of the field query what the URL has already: a next
// URL mostly repeats the parameters of the first.
func withoutQuery(input sdk.Fields, u *url.URL) sdk.Fields {
	i := last(input, "query")
	if i < 0 {
		return input
	}
	query, err := members(input[i].Value)
	if err != nil {
		return input
	}
	has := map[string]bool{}
	for name := range u.Query() {
		has[plainName(name)] = true
	}
	out := slices.Clone(input)
	out[i].Value = slices.DeleteFunc(query, func(f sdk.Field) bool { return has[plainName(f.Name)] }).JSON()
	return out
}

// plainName is a parameter's name without the brackets of a list.
func plainName(name string) string {
	name, _, _ = strings.Cut(name, "[")
	return name
}

// size is about what an exchange takes in a record.
func (x *Exchange) size() int {
	n := exchangeSize + len(x.URL) + len(x.Error)
	for _, r := range x.Redirects {
		n += len(r)
	}
	return n
}
