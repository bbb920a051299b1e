package engine

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/engine/expr"
	"github.com/tappet-dev/tappet/sdk"
)

// CompileExpired makes a function of an expression that says whether a response
// means that a token has expired. It sees status, headers (by their names in
// lower case) and body: data where that is JSON, else a text. An expression that
// fails says no; the function is safe for concurrent use.
func CompileExpired(source string, limits expr.Limits) (func(status int, header sdk.Header, body []byte) bool, error) {
	scope := expr.NewScope(
		expr.Var{Name: "status", Type: expr.Int()},
		expr.Var{Name: "headers", Type: expr.ObjectOf(nil, expr.StringType())},
		expr.Var{Name: "body", Type: expr.Any()},
	).WithLimits(limits)
	t, problems := expr.Expr(source, scope)
	if len(problems) > 0 {
		return nil, errors.New(problems[0].Message)
	}
	if ok, _ := expr.Assignable(t.Type(), expr.Bool()); !ok {
		return nil, fmt.Errorf("it gives %s; true or false is wanted", t.Type())
	}
	return func(status int, header sdk.Header, body []byte) bool {
		headers := make(map[string]any, len(header))
		for _, h := range header {
			if name := strings.ToLower(h.Name); headers[name] == nil {
				headers[name] = h.Value
			}
		}
		var data any = strings.ToValidUTF8(string(body), "\uFFFD")
		if expr.CheckJSON(body, 0) == nil {
			data = expr.NewRaw(body)
		}
		v, err := t.Eval(&expr.Env{Values: []any{status, headers, data}, Now: time.Now(), Limits: limits})
		expired, ok := v.(bool)
		return err == nil && ok && expired
	}, nil
}
