package sdk

import (
	"context"
	"encoding/json"
)

// Check makes a [Checker] from a typed function: the schema comes from C, and a
// config that does not fit C is refused with kind [Invalid] before fn is called.
func Check[C any](fn func(context.Context, Host, C) error) *Checker {
	config := shapeOf[C]()
	return &Checker{
		Config: config.schema(),
		Do: func(ctx context.Context, h Host, raw json.RawMessage) error {
			cfg, err := decode[C](config, "config", raw)
			if err != nil {
				return err
			}
			return fn(ctx, h, cfg)
		},
	}
}

// Options makes a [Chooser] from a typed function, as [Check] does. C holds the
// fields on which the choice depends; a field of a config or an input takes its
// choices from it by the tag `options:"name"`.
func Options[C any](name, title string, fn func(context.Context, Host, C) ([]Option, error)) Chooser {
	config := shapeOf[C]()
	return Chooser{
		Name: name, Title: title, Config: config.schema(),
		List: func(ctx context.Context, h Host, c ChooseCall) ([]Option, error) {
			cfg, err := decode[C](config, "config", c.Config)
			if err != nil {
				return nil, err
			}
			return fn(ctx, h, cfg)
		},
	}
}

// OptionOf makes an option of a Go value that has a JSON form; without one it
// is null.
func OptionOf(value any, title string) Option {
	b, err := json.Marshal(value)
	if err != nil {
		b = []byte("null")
	}
	return Option{Value: b, Title: title}
}
