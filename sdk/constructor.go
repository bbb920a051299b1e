package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"sync/atomic"
	"time"
)

// An EventOf is an [Event] whose data is a Go value.
type EventOf[T any] struct {
	// Key tells events apart, as in [Event].
	Key  string
	Data T
}

// A Batch is a [RawBatch] of typed events.
type Batch[T any] struct {
	Events []EventOf[T]
	// Cursor replaces the cursor of the call.
	Cursor Cursor
	// Next says when to ask again; zero leaves it to the graph's `every`.
	Next time.Time
}

// Add appends an event.
func (b *Batch[T]) Add(key string, data T) {
	b.Events = append(b.Events, EventOf[T]{Key: key, Data: data})
}

// A Receipt is a [RawWebhook] of typed events.
type Receipt[T any] struct {
	Events []EventOf[T]
	// Wait and Answer are those of [RawWebhook].
	Wait   bool
	Answer *Answer
}

// Add appends an event.
func (r *Receipt[T]) Add(key string, data T) {
	r.Events = append(r.Events, EventOf[T]{Key: key, Data: data})
}

// An Emit hands typed events on; it returns when they are durable, with the
// cursor that resumes after them.
type Emit[T any] func(ctx context.Context, c Cursor, ev ...EventOf[T]) error

// Poll makes a trigger of [KindPoll] from a typed function. The schemas of the
// config and of the event come from C and T, see [Schema]; a config that does
// not fit C is refused with kind [Invalid] before fn is called.
//
// What the arguments don't say (Description, Every) is set on the result.
func Poll[C, T any](name, title string, fn func(context.Context, Host, C, Cursor) (Batch[T], error)) Trigger {
	config, event := configOf[C](), shapeOf[T]()
	return Trigger{
		Name: name, Title: title, Kind: KindPoll, Config: config.shape.schema(), Event: event.schema(),
		Poll: func(ctx context.Context, h Host, c PollCall) (RawBatch, error) {
			cfg, err := config.read(c.Config)
			if err != nil {
				return RawBatch{}, err
			}
			b, err := fn(ctx, h, cfg, c.Cursor)
			if err != nil {
				return RawBatch{}, err
			}
			ev, err := rawEvents(event, b.Events)
			return RawBatch{Events: ev, Cursor: b.Cursor, Next: b.Next}, err
		},
	}
}

// Webhook makes a trigger of [KindWebhook] from a typed function, as [Poll]
// does for a poll.
func Webhook[C, T any](name, title string, fn func(context.Context, Host, C, WebhookRequest) (Receipt[T], error)) Trigger {
	config, event := configOf[C](), shapeOf[T]()
	return Trigger{
		Name: name, Title: title, Kind: KindWebhook, Config: config.shape.schema(), Event: event.schema(),
		Webhook: func(ctx context.Context, h Host, c WebhookCall) (RawWebhook, error) {
			cfg, err := config.read(c.Config)
			if err != nil {
				return RawWebhook{}, err
			}
			r, err := fn(ctx, h, cfg, c.Request)
			if err != nil {
				return RawWebhook{}, err
			}
			ev, err := rawEvents(event, r.Events)
			return RawWebhook{Events: ev, Wait: r.Wait, Answer: r.Answer}, err
		},
	}
}

// Stream makes a trigger of [KindStream] from a typed function, as [Poll] does
// for a poll. fn runs until its context ends.
func Stream[C, T any](name, title string, fn func(context.Context, Host, C, Cursor, Emit[T]) error) Trigger {
	config, event := configOf[C](), shapeOf[T]()
	return Trigger{
		Name: name, Title: title, Kind: KindStream, Config: config.shape.schema(), Event: event.schema(),
		Stream: func(ctx context.Context, h Host, c StreamCall, emit EmitFunc) error {
			cfg, err := config.read(c.Config)
			if err != nil {
				return err
			}
			return fn(ctx, h, cfg, c.Cursor, func(ctx context.Context, cur Cursor, ev ...EventOf[T]) error {
				raw, err := rawEvents(event, ev)
				if err != nil {
					return err
				}
				return emit(ctx, cur, raw...)
			})
		},
	}
}

// Do makes an [Action] from a typed function: I is the action's input, R its
// result. An input that does not fit I is refused with kind [Invalid] before
// fn is called. Beside an error, a result that isn't R's zero value is kept as
// the failure's data.
//
// What the arguments don't say (Description, Literal, Idempotent) is set on
// the result.
func Do[I, R any](name, title string, fn func(context.Context, Host, I) (R, error)) Action {
	return typedAction(name, title, func(ctx context.Context, h Host, in I, _ string) (R, error) {
		return fn(ctx, h, in)
	})
}

// DoKeyed is [Do] for an action whose receiver tells repeats by a key: fn gets
// ActionCall.IdempotencyKey, and the action is marked Keyed.
func DoKeyed[I, R any](name, title string, fn func(ctx context.Context, h Host, in I, key string) (R, error)) Action {
	a := typedAction(name, title, fn)
	a.Keyed = true
	return a
}

func typedAction[I, R any](name, title string, fn func(context.Context, Host, I, string) (R, error)) Action {
	input, output := shapeOf[I](), shapeOf[R]()
	return Action{
		Name: name, Title: title, Input: input.schema(), Output: output.schema(),
		Do: func(ctx context.Context, h Host, c ActionCall) (Result, error) {
			in, err := decodeFields[I](input, "input", c.Input)
			if err != nil {
				return Result{}, err
			}
			r, err := fn(ctx, h, in, c.IdempotencyKey)
			if err != nil {
				// The author's error decides; data that has no JSON form is no news.
				data, _ := output.encodeUnlessZero(r)
				return Result{Output: data}, err
			}
			data, err := output.encode(r)
			return Result{Output: data}, err
		},
	}
}

// A config reads a trigger's config, which is the same call after call: the last
// one is kept where copying it makes a value of its own.
type config[C any] struct {
	shape *shape
	plain bool
	last  atomic.Pointer[reading[C]]
}

type reading[C any] struct {
	data  []byte
	value C
}

func configOf[C any]() *config[C] {
	return &config[C]{shape: shapeOf[C](), plain: isPlain(reflect.TypeFor[C]())}
}

func (c *config[C]) read(data []byte) (C, error) {
	if last := c.last.Load(); last != nil && bytes.Equal(last.data, data) {
		return last.value, nil
	}
	v, err := decode[C](c.shape, "config", data)
	if err == nil && c.plain {
		c.last.Store(&reading[C]{bytes.Clone(data), v})
	}
	return v, err
}

// isPlain says whether two copies of a value share nothing that either can change.
func isPlain(t reflect.Type) bool {
	switch k := t.Kind(); {
	case t == reflect.TypeFor[time.Time](): // its location is nobody's to change
		return true
	case k == reflect.Array:
		return isPlain(t.Elem())
	case k == reflect.Struct:
		for i := range t.NumField() {
			if !isPlain(t.Field(i).Type) {
				return false
			}
		}
		return true
	default:
		return k == reflect.String || k >= reflect.Bool && k <= reflect.Complex128
	}
}

func rawEvents[T any](s *shape, in []EventOf[T]) ([]Event, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make([]Event, len(in))
	var b []byte // what one event leaves of it is the next one's
	for i := range in {
		if cap(b)-len(b) < room {
			b = make([]byte, 0, room*min(len(in)-i, 16))
		}
		start := len(b)
		var err error
		if b, err = s.appendValue(b, reflect.ValueOf(&in[i].Data).Elem(), 0); err != nil {
			return nil, Errorf(Failed, "event %d: %w", i, err)
		}
		out[i] = Event{Key: in[i].Key, Data: b[start:len(b):len(b)]}
	}
	return out, nil
}

// Schema gives the JSON Schema of T as the typed constructors do.
//
// A struct is a closed object. A field is named by its json tag, without one
// by its Go name in snake_case; it is required unless the tag says omitempty
// or omitzero, it is a pointer, or it has a default. The tags title,
// description, format, enum (values separated by commas), default, secret
// ("true") and options (the name of a [Chooser]) say more. time.Time is a date-time, a type that marshals to text a
// string, json.RawMessage, any and a type with its own JSON anything.
func Schema[T any]() json.RawMessage { return shapeOf[T]().schema() }

// Decode reads a config or an input as the typed constructors do: strictly,
// with defaults, and with all problems at once in an error of kind [Invalid].
// what names the value in the error, such as "config".
func Decode[T any](what string, data []byte) (T, error) {
	return decode[T](shapeOf[T](), what, data)
}

// DecodeFields is [Decode] for the fields of an action's input.
func DecodeFields[T any](what string, f Fields) (T, error) {
	return decodeFields[T](shapeOf[T](), what, f)
}

// Encode writes v as the typed constructors write events and results: fields
// by the names of [Schema], a nil slice as [], a nil map as {}, maps in the
// order of their keys; nil pointers and nil interfaces are left out.
func Encode[T any](v T) (json.RawMessage, error) { return shapeOf[T]().encode(v) }
