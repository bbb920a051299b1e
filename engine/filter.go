package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/engine/graph"
	"github.com/tappet-dev/tappet/engine/program"
	"github.com/tappet-dev/tappet/sdk"
)

// codeFilter is the code of an event that the graph's filter or key can't judge.
const codeFilter = "filter"

// maxKey is the longest key of an event that is kept as it is.
const maxKey = 256

// sift makes an event an acceptance: false when the graph's filter doesn't let
// it start a run. It fails closed: an event about which the filter or the key
// can't be computed starts none.
func (e *Engine) sift(p *program.Program, c Connector, t *sdk.Trigger, ev sdk.Event, a *Acceptance) (bool, error) {
	a.Event = ev.Data
	env := expr.Env{Now: a.At, Limits: p.Limits}
	if p.Trigger.Filter != nil || p.Dedupe != nil && p.Dedupe.Key != nil {
		env.Values = []any{expr.NewRaw(ev.Data)}
	}
	if p.Trigger.Filter != nil {
		env.Seed = []byte(a.Run.String() + "/filter")
		v, err := p.Trigger.Filter.Eval(&env)
		pass, ok := v.(bool)
		if err == nil && !ok {
			err = errors.New("a condition must give true or false")
		}
		if err != nil {
			return false, fmt.Errorf("trigger.filter: %w", err)
		}
		if !pass {
			return false, nil
		}
	}
	a.Key = eventKey(t, c, ev.Key)
	if p.Dedupe != nil && p.Dedupe.Key != nil {
		env.Seed = []byte(a.Run.String() + "/dedupe")
		key, err := dedupeKey(p.Dedupe.Key, &env)
		if err != nil {
			return false, fmt.Errorf("dedupe.key: %w", err)
		}
		if key != "" {
			a.Key = key
		}
	}
	if a.Key != "" {
		a.KeyUntil = keyUntil(p, t, a.At)
	}
	return true, nil
}

// dedupeKey computes a graph's own key of an event, "" if that is null or empty.
func dedupeKey(t *expr.Template, env *expr.Env) (string, error) {
	doc, err := t.AppendJSON(nil, env)
	if err != nil {
		return "", err
	}
	key := string(doc)
	switch doc[0] {
	case '{', '[':
		return "", errors.New("a key must be a text, a number or a boolean")
	case 'n':
		return "", nil
	case '"':
		if err := json.Unmarshal(doc, &key); err != nil {
			return "", err
		}
	}
	switch {
	case key == "":
		return "", nil
	case len(key) > maxKey:
		sum := sha256.Sum256([]byte(key))
		return "dedupe#/" + hex.EncodeToString(sum[:]), nil
	}
	return "dedupe/" + key, nil
}

// keyUntil is when the key of an event is forgotten. Senders of requests repeat
// them for a while; what a source gives again is known for good.
func keyUntil(p *program.Program, t *sdk.Trigger, at time.Time) time.Time {
	switch {
	case p.Dedupe != nil:
		return at.Add(p.Dedupe.Window)
	case t.Kind == sdk.KindWebhook:
		return at.Add(graph.DefaultWindow)
	}
	return time.Time{}
}
